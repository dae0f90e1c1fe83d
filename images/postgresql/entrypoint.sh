# The part of the official image's contract that the chart uses (github.com/docker-library/postgres):
# POSTGRES_USER, POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE, POSTGRES_DB, PGDATA, and *.sql of /docker-entrypoint-initdb.d.
set -eu

user="${POSTGRES_USER:-postgres}"
database="${POSTGRES_DB:-$user}"
if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
    POSTGRES_PASSWORD="$(cat "$POSTGRES_PASSWORD_FILE")"
fi

# initdb wants its user to have a name, and a platform may run this as any (OpenShift). As the official image does it.
name_user() {
    getent passwd "$(id -u)" > /dev/null && return
    printf 'postgres:x:%s:%s::/var/lib/postgresql:/bin/false\n' "$(id -u)" "$(id -g)" > /tmp/passwd
    printf 'postgres:x:%s:\n' "$(id -g)" > /tmp/group
    LD_PRELOAD="$(echo /usr/lib/*/libnss_wrapper.so)"
    export LD_PRELOAD NSS_WRAPPER_PASSWD=/tmp/passwd NSS_WRAPPER_GROUP=/tmp/group
}

make_cluster() {
    # Made beside its place: a pod killed in here starts again from nothing, not from half a database.
    new="$PGDATA.new"
    rm -rf "$new"
    mkdir -p -m 0700 "$new"
    umask 077
    printf '%s\n' "${POSTGRES_PASSWORD:?POSTGRES_PASSWORD is empty: set it}" > "$new.password"
    # As in the official image, who is in the container needs no password.
    initdb --pgdata="$new" --username="$user" --pwfile="$new.password" --auth-local=trust --auth-host=scram-sha-256 \
        --encoding=UTF8 --locale=C.UTF-8
    rm "$new.password"
    echo 'host all all all scram-sha-256' >> "$new/pg_hba.conf"
    # Only on the socket: nobody may take it for ready yet.
    pg_ctl --pgdata="$new" --wait --options="-c listen_addresses=''" start
    [ "$database" = postgres ] || psql -v ON_ERROR_STOP=1 --username="$user" --dbname=postgres \
        --set=name="$database" <<'SQL'
CREATE DATABASE :"name";
SQL
    for file in /docker-entrypoint-initdb.d/*.sql; do
        [ -f "$file" ] || continue
        psql -v ON_ERROR_STOP=1 --username="$user" --dbname="$database" --file="$file"
    done
    pg_ctl --pgdata="$new" --wait --mode=fast stop
    mv "$new" "$PGDATA"
}

if [ "${1:-postgres}" = postgres ] || [ "${1#-}" != "$1" ]; then
    [ "${1:-}" = postgres ] && shift
    if [ ! -s "$PGDATA/PG_VERSION" ]; then
        # An empty folder may be the volume itself.
        if [ -d "$PGDATA" ]; then rmdir "$PGDATA"; fi
        name_user
        make_cluster
        unset LD_PRELOAD
    fi
    unset POSTGRES_PASSWORD
    exec postgres -D "$PGDATA" -c listen_addresses='*' "$@"
fi
exec "$@"
