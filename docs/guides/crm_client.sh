#!/bin/sh
# The same with curl: crm_client.sh score lead.json KEY | bulk leads.json KEY | outcome '{"lead_id": …, "converted": true}'
# KEY is the Idempotency-Key: one per thing that happened in the CRM, the same for every repetition of it.
# curl repeats after no reply, 408, 429 and 5xx, waits for Retry-After, and leaves other refusals alone.
# The reply goes to standard output; exit code 0 for 2xx, 1 if it was refused, 2 if nobody has answered.
set -eu
: "${LEADSCORE_URL:?such as http://127.0.0.1:3000}" "${LEADSCORE_API_KEY:?a key with the scopes score and outcomes}"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

post() {  # path, file with the body, then more options of curl
    path=$1 body=$2
    shift 2
    # The key goes in by standard input: arguments can be seen by everybody on this machine.
    status=$(printf 'Authorization: Bearer %s\n' "$LEADSCORE_API_KEY" | curl --silent --show-error --max-time 10 \
        --retry 5 --retry-all-errors --header @- --header 'Content-Type: application/json' "$@" \
        --data-binary "@$body" --output "$scratch/reply" --write-out '%{http_code}' "$LEADSCORE_URL$path") || exit 2
    cat "$scratch/reply"
    case $status in 2*) ;; *) exit 1 ;; esac
}

case ${1:-} in
    score) post '/score-lead?reasons=3' "${2:?a file}" --header "Idempotency-Key: ${3:?a KEY, see this file}" ;;
    bulk) post /score-leads "${2:?a file}" --header "Idempotency-Key: ${3:?a KEY, see this file}" ;;   # the file holds {"leads": [{…}, {…}]}
    outcome)
        printf '%s' "$2" > "$scratch/outcome"
        post /outcomes "$scratch/outcome" ;;
    *)
        sed -n '2,5s/^# //p' "$0" >&2
        exit 2 ;;
esac
