"""Live events in KAZOO's protocol, tried by the websockets package.

Arguments: the URL, a token, its account. Says `listening` once it does, then prints each event of the first call that it
hears of, until that call is over."""

import json
import sys

from websockets.sync.client import connect

url, token, account = sys.argv[1:]


def ask(session, **message):
    session.send(json.dumps({"request_id": "r1", **message}))
    reply = json.loads(session.recv(timeout=10))
    assert reply["action"] == "reply" and reply["request_id"] == "r1", reply
    return reply


with connect(url) as session:
    assert ask(session, action="ping")["data"] == {"response": "pong"}
    all_calls = {"account_id": account, "bindings": ["call.CHANNEL_CREATE.*", "call.CHANNEL_DESTROY.*"]}
    for wrong in (
        {"auth_token": "no token", "data": all_calls},
        {"auth_token": token, "data": {"account_id": "0" * 32, "binding": "call.*.*"}},
        {"auth_token": token, "data": {"account_id": account, "binding": "rain.*.*"}},
        {"auth_token": token, "data": {"account_id": account}},
    ):
        reply = ask(session, action="subscribe", **wrong)
        assert reply["status"] == "error" and reply["data"]["errors"], reply
    assert ask(session, action="dance")["status"] == "error"
    reply = ask(session, action="subscribe", auth_token=token, data=all_calls)
    assert reply["status"] == "success", reply
    assert reply["data"]["subscribed"] == all_calls["bindings"], reply
    reply = ask(session, action="subscribe", auth_token=token, data={"account_id": account, "binding": "object.*.*"})
    assert len(reply["data"]["subscribed"]) == 3, reply
    reply = ask(session, action="unsubscribe", auth_token=token, data={"account_id": account, "binding": "object.*.*"})
    assert reply["data"]["unsubscribed"] == ["object.*.*"], reply
    print("listening", flush=True)
    call_id = None
    while True:
        event = json.loads(session.recv(timeout=20))
        assert event["action"] == "event", event
        data = event["data"]
        call_id = call_id or data["call_id"]
        if data["call_id"] == call_id:
            print(json.dumps(event), flush=True)
            if event["name"] == "CHANNEL_DESTROY":
                break
