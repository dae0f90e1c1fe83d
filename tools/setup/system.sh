#!/bin/sh
# What tests and the bench need from the distribution: PostgreSQL's server, libfaketime (the fault tests step an operator's
# clock), Chromium (the documentation's pages are looked at), Java (Spark), and wrk for the bench. Nothing is started here.
#   system.sh [bench]
set -eu
want="postgresql"
if ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1; then
    want=""
fi
if ! ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1; then
    want="$want libfaketime"
fi
if [ "${1:-}" != bench ] && ! command -v chromium >/dev/null 2>&1 && ! command -v chromium-browser >/dev/null 2>&1 \
    && ! command -v google-chrome >/dev/null 2>&1; then
    want="$want chromium"
fi
if ! command -v java >/dev/null 2>&1; then
    want="$want openjdk-17-jre-headless"
fi
if [ "${1:-}" = bench ] && ! command -v wrk >/dev/null 2>&1; then
    want="$want wrk"
fi
[ -n "$want" ] || exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "note: $want is not installed and cannot be installed here without root and apt; what needs it says so"
    exit 0
fi
echo "installing from the distribution: $want"
export DEBIAN_FRONTEND=noninteractive
# The package would start a server of its own on 5432: tests start private ones.
mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] || echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf
apt-get update -qq
# shellcheck disable=SC2086  # a list of package names
apt-get install -y -qq --no-install-recommends $want >/dev/null
