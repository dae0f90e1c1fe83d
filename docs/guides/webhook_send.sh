#!/bin/sh
# Sends one signed lead.scored message, as LeadScore does, to try a receiver:
#   LEADSCORE_WEBHOOK_SECRET=whsec_… sh webhook_send.sh http://127.0.0.1:8060/ LEAD_ID
set -eu
url=$1
lead=$2
now=$(date -u +%s)
at=$(date -u -d "@$now" +%Y-%m-%dT%H:%M:%S.000000+00:00)
id=msg_try_$now
body=$(printf '{"type":"lead.scored","timestamp":"%s","data":{"lead_id":"%s","prediction_id":"try-%s","model_name":"leads","model_version":"1","probability":0.5,"score":50.0,"grade":"B","reasons":["This is a test."],"scored_at":"%s","sequence":"%020d/try-%s"}}' \
    "$at" "$lead" "$now" "$at" "${now}000000" "$now")
key=$(printf '%s' "${LEADSCORE_WEBHOOK_SECRET#whsec_}" | base64 -d | od -An -v -tx1 | tr -d ' \n')
signature=$(printf '%s.%s.%s' "$id" "$now" "$body" |
    openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64)
curl -sS --fail-with-body -X POST "$url" \
    -H 'Content-Type: application/json' \
    -H "webhook-id: $id" -H "webhook-timestamp: $now" -H "webhook-signature: v1,$signature" \
    --data-binary "$body"
