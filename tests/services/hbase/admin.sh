#!/usr/bin/env bash
# What the owner of a cluster does in `hbase shell`, on the HBase that start.sh started (Java client; our jars have no shell).
#   admin.sh COMMAND [: COMMAND]...    in one go, for each start of Java takes seconds
#   COMMAND: create TABLE REGIONS FAMILY... | versions TABLE FAMILY N | disable TABLE | enable TABLE | delete TABLE | count TABLE
# Env: HBASE_ZK_PORT (2181) SERVICES_CACHE SERVICES_HOME
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib.sh"
conf=$SERVICES_HOME/hbase/conf
[ -f "$conf/hbase-site.xml" ] || die "hbase: $conf is missing; start it with start.sh, under the same SERVICES_HOME"
exec "$(java_bin)" -Dlog4j2.disable.jmx=true -Djava.net.preferIPv4Stack=true \
  --add-opens java.base/java.nio=ALL-UNNAMED --add-opens java.base/java.lang=ALL-UNNAMED \
  -cp "$conf:$(lib_dir hbase "$here/pom.xml")/*" "$here/Admin.java" "$@"
