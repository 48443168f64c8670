#!/usr/bin/env bash
# A single Elasticsearch node on the loopback address, for tests.  start.sh fetch|start|stop|ready|pid
#   ES_FLAVOR        full (default) or lean: see README.md beside this file
#   ES_PORT          HTTP port, 9200;  ES_TRANSPORT_PORT: ES_PORT + 100
#   ES_HEAP          1g
#   SERVICES_MAVEN_ARGS  more arguments of mvn
#   SERVICES_CACHE   what fetch brings;  SERVICES_HOME: data, logs and the pid file
#   ES_JAVA_HOME     a JDK of 17 or later; else JAVA_HOME, else the javac on PATH
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${SERVICES_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/clickmill/services}
run=${SERVICES_HOME:-$cache/run}/elasticsearch
port=${ES_PORT:-9200}
transport=${ES_TRANSPORT_PORT:-$((port + 100))}
flavor=${ES_FLAVOR:-full}
dist=$cache/elasticsearch
home=$dist/$flavor
pidfile=$run/elasticsearch.pid

say() { printf 'elasticsearch: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

case $flavor in full | lean) ;; *) die "ES_FLAVOR must be full or lean, not '$flavor'" ;; esac

jdk() {
    if [ -n "${ES_JAVA_HOME:-}" ]; then echo "$ES_JAVA_HOME"
    elif [ -n "${JAVA_HOME:-}" ]; then echo "$JAVA_HOME"
    else dirname "$(dirname "$(readlink -f "$(command -v javac || die 'no JDK found')")")"
    fi
}

# Whether PID lives, and is the Elasticsearch of this SERVICES_HOME.
alive() { grep -qzxF -e "-Dclickmill.run=$run" "/proc/$1/cmdline" 2>/dev/null; }

# The recorded process, if it lives. (Elasticsearch deletes the pid file early in its shutdown.)
running() {
    local pid
    pid=$(cat "$pidfile" 2>/dev/null) && [ -n "$pid" ] && alive "$pid" && echo "$pid"
}

# ended PID: waits up to 30 s
ended() {
    local n
    for n in $(seq 300); do
        alive "$1" || return 0
        sleep 0.1
    done
    return 1
}

# locked FILE COMMAND: one at a time
locked() {
    mkdir -p "${1%/*}"
    (
        flock 9
        "$2"
    ) 9>"$1"
}

fetched() { [ -f "$home/.complete" ] && cmp -s "$here/pom.xml" "$home/.complete"; }

fetch() {
    if fetched; then return 0; fi
    command -v mvn >/dev/null || die 'mvn is not on PATH'
    command -v unzip >/dev/null || die 'unzip is not on PATH'
    local work="$dist/.work-$flavor" inside
    rm -rf "$work" "$home"
    mkdir -p "$work/zip" "$work/out"
    # A Maven repository of its own, so that an archive of this size need not stay anywhere.
    mvn -q -B -C -Dstyle.color=never ${SERVICES_MAVEN_ARGS:-} -f "$here/pom.xml" -P "$flavor" -Dmaven.repo.local="$dist/m2" \
        dependency:copy-dependencies -DoutputDirectory="$work/zip" >&2 ||
        die "fetching the $flavor archive failed"
    case $flavor in
        full) inside='sonarqube-*/elasticsearch/*' ;;
        lean) inside='elasticsearch-*' ;;
    esac
    unzip -q "$work"/zip/*.zip "$inside" -x '*.exe' '*.bat' '*/lib/platform/darwin-*' '*/lib/platform/windows-*' -d "$work/out"
    case $flavor in
        full) mv "$work"/out/sonarqube-*/elasticsearch "$work/home" ;;
        lean) mv "$work"/out/elasticsearch-* "$work/home" ;;
    esac
    mkdir -p "$work/home/plugins"
    if [ ! -d "$work/home/modules/rest-root" ]; then banner "$work"; fi
    cp "$here/pom.xml" "$work/home/.complete"
    mv "$work/home" "$home"
    rm -rf "$work"
    find "$dist/m2" -name '*.zip' -size +50M -delete
}

# Compiles our handler of GET / into a plugin of the unpacked server.
banner() {
    local work=$1 to="$1/home/plugins/rest-banner" version
    version=$(basename "$work"/home/lib/elasticsearch-core-*.jar .jar)
    version=${version#elasticsearch-core-}
    mkdir -p "$work/classes" "$to"
    "$(jdk)/bin/javac" -nowarn --release 17 -cp "$work/home/lib/*" -d "$work/classes" "$here/src/RestBanner.java"
    "$(jdk)/bin/jar" --create --file "$to/rest-banner.jar" -C "$work/classes" .
    cat >"$to/plugin-descriptor.properties" <<-EOF
	name=rest-banner
	description=answers GET /
	version=1
	elasticsearch.version=$version
	java.version=17
	classname=clickmill.restbanner.RestBanner
	EOF
}

configure() {
    mkdir -p "$run/config/jvm.options.d" "$run/data/$flavor" "$run/logs" "$run/tmp"
    cp "$home/config/log4j2.properties" "$run/config/"
    sed -e '/Xlog:gc/d' -e '/HeapDump/d' -e '/ErrorFile/d' "$home/config/jvm.options" >"$run/config/jvm.options"
    cat >"$run/config/elasticsearch.yml" <<-EOF
	cluster.name: clickmill
	node.name: es-1
	discovery.type: single-node
	network.host: 127.0.0.1
	http.port: $port
	transport.port: $transport
	path.data: $run/data/$flavor
	path.logs: $run/logs
	xpack.security.enabled: false
	# A nearly full disk must not turn the indices of a test read-only.
	cluster.routing.allocation.disk.threshold_enabled: false
	EOF
}

ready() {
    local health
    health=$(curl -fsS -m 5 "http://127.0.0.1:$port/_cluster/health?wait_for_status=yellow&timeout=2s" 2>/dev/null) || return 1
    grep -qE '"status":"(yellow|green)"' <<<"$health"
}

start() {
    local pid as=() java
    if pid=$(running); then
        ready && { say "already running, pid $pid, port $port"; return 0; }
        die "pid $pid is alive but not ready on port $port"
    fi
    fetched || locked "$dist/.lock" fetch
    if curl -s -o /dev/null -m 2 "http://127.0.0.1:$port/"; then die "something else answers on port $port"; fi
    configure
    java=$(jdk)
    # Elasticsearch refuses to run as root. In a user namespace of its own it sees another user id, while
    # its files stay ours.
    if [ "$(id -u)" = 0 ]; then
        as=(unshare --user --map-user=1000 --map-group=1000 --)
        "${as[@]}" true || die 'root cannot make a user namespace here: run this as another user'
    fi
    ulimit -n 65535 2>/dev/null || ulimit -n "$(ulimit -Hn)"
    rm -f "$pidfile"
    # What bin/elasticsearch does: the launcher starts the server, waits until it is up, and leaves it.
    if ! (
        cd "$home" || exit 1
        export ES_JAVA_HOME=$java ES_TMPDIR=$run/tmp ES_PATH_CONF=$run/config
        export ES_JAVA_OPTS="-Xms${ES_HEAP:-1g} -Xmx${ES_HEAP:-1g} -XX:-AlwaysPreTouch -XX:ErrorFile=$run/logs/hs_err_pid%p.log -Dclickmill.run=$run"
        exec 9>&-
        exec setsid -w "${as[@]}" "$java/bin/java" -Xms4m -Xmx64m -XX:+UseSerialGC \
            -Dcli.name=server -Dcli.script="$home/bin/elasticsearch" -Dcli.libs=lib/tools/server-cli \
            -Des.path.home="$home" -Des.path.conf="$run/config" -Des.distribution.type=zip -Des.java.type=ES_JAVA_HOME \
            -cp "$home/lib/*:$home/lib/cli-launcher/*" org.elasticsearch.launcher.CliToolLauncher \
            -d -p "$pidfile"
    ) >"$run/logs/start.log" 2>&1 </dev/null; then
        tail -n 20 "$run/logs/start.log" >&2
        die "did not start: $run/logs/start.log"
    fi
    for _ in $(seq 60); do
        if ready; then say "pid $(running), port $port, $flavor"; return 0; fi
        running >/dev/null || break
        sleep 0.5
    done
    die "started but is not ready: $run/logs"
}

stop() {
    local pid
    if ! pid=$(running); then rm -f "$pidfile"; return 0; fi
    kill "$pid"
    if ! ended "$pid"; then
        say "pid $pid ignored TERM for 30 s: KILL"
        kill -9 "$pid"
        ended "$pid" || die "pid $pid would not end"
    fi
    rm -f "$pidfile"
}

case ${1:-} in
    fetch) fetched || locked "$dist/.lock" fetch ;;
    start | stop) locked "$run/.lock" "$1" ;;
    ready) ready ;;
    pid) running ;;
    *) die 'usage: start.sh fetch|start|stop|ready|pid' ;;
esac
