#!/usr/bin/env bash
# KAZOO's how-to "an outbound call by click-to-call and Pivot", as its author wrote it: curl and nothing else. Taken from
# the environment: SERVER, ACCOUNT_NAME, CREDENTIALS (md5 of user:password), GATEWAY and GATEWAY_PORT (the carrier),
# PIVOT_URL, HOOK_URL, CONTACT. Prints the click-to-call's answer.
set -eu -o pipefail

field() { python3 -c 'import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1].split("."):
    value = value[key]
print(value)' "$1"; }

curl_() { curl --silent --show-error --fail-with-body --max-time 20 --header "Content-Type: application/json" "$@"; }

# Prerequisite: a token.
login=$(curl_ --request PUT "http://$SERVER/v2/user_auth" \
  --data "{\"data\": {\"credentials\": \"$CREDENTIALS\", \"account_name\": \"$ACCOUNT_NAME\"}, \"method\": \"md5\"}")
token=$(field auth_token <<<"$login")
account=$(field data.account_id <<<"$login")
put() { curl_ --header "X-Auth-Token: $token" --request PUT "http://$SERVER/v2/accounts/$account/$1" --data "$2"; }

# Step 1: the carrier. Numbers are strings, as in the original.
put resources '{ "data": { "name": "flowroute", "format_from_uri": true, "rules": [ ".{7,}" ], "flags": [ "Use_Flowroute" ],
  "formatters": {
    "from": [{ "regex": "\\+?1?(\\d{10})$", "direction": "outbound" }],
    "diversion": [{ "match_invite_format": true, "direction": "outbound" }],
    "outbound_caller_id_number": [{ "value": "14155550100" }],
    "outbound_caller_id_name": [{ "value": "Acme Inc" }] },
  "gateways": [{ "caller_id_type": "external", "channel_selection": "ascending", "codecs": ["PCMU", "PCMA", "OPUS"],
    "custom_sip_headers": {}, "emergency": false, "enabled": true, "endpoint_type": "sip", "format_from_uri": true,
    "invite_format": "route", "password": "secret", "prefix": "83729384*", "progress_timeout": "30",
    "realm": "'"$GATEWAY"'", "server": "'"$GATEWAY"'", "port": "'"$GATEWAY_PORT"'", "skype_rr": false, "suffix": "",
    "username": "flowroute-user" }] } }' >/dev/null

# Step 2: an extension whose action is Pivot. (The original has "debug": false; here the log is wanted.)
put callflows '{ "data": { "numbers": ["1"], "flow": { "data": { "method": "GET", "req_timeout": "60", "req_format": "kazoo",
  "voice_url": "'"$PIVOT_URL"'", "debug": true }, "module": "pivot" } } }' >/dev/null

# Beside the how-to: whoever wants to know is told.
put webhooks '{ "data": { "name": "watch", "hook": "all", "uri": "'"$HOOK_URL"'", "format": "json" } }' >/dev/null

# Step 3: the click-to-call.
click=$(put clicktocall '{ "data": { "name": "call_1", "auth_required": false, "extension": "1", "caller_id_number": "14155550100" } }')
id=$(field data.id <<<"$click")

# Step 4: the call.
curl_ --header "X-Auth-Token: $token" --request GET \
  "http://$SERVER/v2/accounts/$account/clicktocall/$id/connect?contact=$CONTACT"
