#!/bin/sh
# PostgreSQL's server binaries for the integration tests, from the distribution. Nothing is started here.
set -eu
if ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "note: PostgreSQL's server (initdb) is not installed and cannot be installed here without root and apt;" \
         "the tests that need it say so"
    exit 0
fi
echo "installing postgresql from the distribution"
export DEBIAN_FRONTEND=noninteractive
# The package would start a server of its own on 5432: tests start private ones.
mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] || echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf
apt-get update -qq
apt-get install -y -qq --no-install-recommends postgresql >/dev/null
