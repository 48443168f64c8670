# Shared by services.sh and each <service>/start.sh (sourced, bash).
# Layout:
#   $SERVICES_CACHE/<service>-<hash of its pom>/lib   jars, fetched once
#   $SERVICES_HOME/<service>/                         config, data, *.log, *.pid of the running service
: "${SERVICES_CACHE:=${XDG_CACHE_HOME:-$HOME/.cache}/clickmill/services}"
: "${SERVICES_HOME:=$SERVICES_CACHE/run}"   # one set of ports = one home; not tied to the cwd
: "${SERVICES_TIMEOUT:=180}"                # seconds a service may take to answer
export SERVICES_CACHE SERVICES_HOME SERVICES_TIMEOUT

die() { echo "$*" >&2; exit 1; }

# start time of a live, non-zombie process; empty otherwise. Kept next to the pid, so that a pid
# that the system has given to another process since is never signalled.
proc_start() {
  if [ -r "/proc/$1/stat" ]; then
    local s; s=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
    s=${s##*) }; set -- $s
    [ "$1" = Z ] || [ "$1" = X ] || echo "${20}"
  elif [ ! -d /proc/self ]; then
    ps -o lstart= -p "$1" 2>/dev/null | tr -s ' ' _
  fi
}

# role_pid FILE: prints the pid if the process recorded in FILE still runs; else fails
role_pid() {
  local pid start
  [ -f "$1" ] && read -r pid start <"$1" && [ -n "$pid" ] && [ -n "$start" ] &&
    [ "$(proc_start "$pid")" = "$start" ] && echo "$pid"
}

# spawn PIDFILE LOGFILE CMD...: starts a detached process, unless the recorded one still runs
spawn() {
  local pidfile=$1 log=$2 pid; shift 2
  role_pid "$pidfile" >/dev/null && return 0
  echo "=== $(date '+%F %T') start: $1 ... ${!#}" >>"$log"
  if command -v setsid >/dev/null; then
    setsid "$@" >>"$log" 2>&1 </dev/null 9>&- &
  else
    nohup "$@" >>"$log" 2>&1 </dev/null 9>&- &
  fi
  pid=$!
  disown "$pid" 2>/dev/null || true
  echo "$pid $(proc_start "$pid")" >"$pidfile"
}

# ports_free PORT...: or else another one's service would answer for ours. A process that was just killed lets go of its
# ports when the last of its threads is gone.
ports_free() {
  local p n=50
  for p in "$@"; do
    while (exec 3<>"/dev/tcp/127.0.0.1/$p") 2>/dev/null; do
      [ $((n -= 1)) -gt 0 ] || die "something else listens on 127.0.0.1:$p"
      sleep 0.1
    done
  done
}

# stop_role PIDFILE [SECONDS]: SIGTERM, then SIGKILL after SECONDS (default 60)
stop_role() {
  local pid n=$(( ${2:-60} * 5 ))
  pid=$(role_pid "$1") || { rm -f "$1"; return 0; }
  kill -TERM "$pid" 2>/dev/null || true
  while role_pid "$1" >/dev/null; do
    n=$((n - 1)); [ "$n" -gt 0 ] || { echo "${1##*/}: still there ${2:-60} s after SIGTERM, killing $pid" >&2; kill9_role "$1" >/dev/null; break; }
    sleep 0.2
  done
  rm -f "$1"
}

# kill9_role PIDFILE: SIGKILL and wait until the process is gone
kill9_role() {
  local pid n=50
  pid=$(role_pid "$1") || return 1
  kill -KILL "$pid"
  while role_pid "$1" >/dev/null && [ $((n -= 1)) -gt 0 ]; do sleep 0.1; done
  rm -f "$1"
  echo "killed $pid"
}

# locked NAME CMD...: one start/stop/fetch of a service at a time
locked() {
  local name=$1; shift
  mkdir -p "$SERVICES_HOME/$name" "$SERVICES_CACHE"
  if command -v flock >/dev/null; then ( flock 9; "$@" ) 9>"$SERVICES_HOME/$name/.lock"; else "$@"; fi
}

# lib_dir NAME POM: where the jars of this very pom are kept
lib_dir() { echo "$SERVICES_CACHE/$1-$(cksum <"$2" | cut -d' ' -f1)/lib"; }

# fetch_jars NAME POM: copies the jars into the cache, all or nothing
fetch_jars() {
  local name=$1 pom=$2 lib tmp
  lib=$(lib_dir "$name" "$pom")
  [ -d "$lib" ] && return 0
  command -v mvn >/dev/null || die "$name: mvn is needed to fetch the jars"
  tmp=$(mktemp -d "$SERVICES_CACHE/.fetch-$name-XXXXXX")
  cp "$pom" "$tmp/pom.xml"
  echo "$name: fetching jars into $lib" >&2
  if ! mvn -q -B ${SERVICES_MAVEN_ARGS:-} -f "$tmp/pom.xml" dependency:copy-dependencies \
      -DoutputDirectory="$tmp/lib" >"$tmp/mvn.log" 2>&1; then
    tail -n 30 "$tmp/mvn.log" >&2; rm -rf "$tmp"; die "$name: fetch failed"
  fi
  mkdir -p "${lib%/lib}" && mv "$tmp/lib" "$lib"
  rm -rf "$tmp"
}

java_bin() {
  local j=${JAVA_HOME:+$JAVA_HOME/bin/java} v
  [ -n "$j" ] && [ -x "$j" ] || j=$(command -v java) || die "java is needed (17 or newer)"
  v=$("$j" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
  [ "${v:-0}" -ge 17 ] || die "java 17 or newer is needed, this is ${v:-unknown}"
  echo "$j"
}
