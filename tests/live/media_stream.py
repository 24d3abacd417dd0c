#!/usr/bin/env python3
"""A server of media streams, by the websockets package. Says on standard output what happens, one JSON object a line.

Arguments: the port, and the account's auth token. Paths: /echo sends back what it hears until a key is pressed; /clear
has a sound played and cut off, ten times."""

import base64
import json
import sys
import time

from twilio.request_validator import RequestValidator
from websockets.sync.server import serve

PORT, TOKEN = int(sys.argv[1]), sys.argv[2]


def say(**what):
    print(json.dumps(what), flush=True)


def signed(socket):
    """Twilio's own library judges the handshake."""
    url = f"ws://127.0.0.1:{PORT}{socket.request.path}"
    signature = socket.request.headers.get("X-Twilio-Signature", "")
    return RequestValidator(TOKEN).validate(url, {}, signature)


def hear(socket, *wanted):
    """The next message of one of these events."""
    while True:
        message = json.loads(socket.recv(timeout=20))
        if message["event"] in wanted:
            return message


def echo(socket, sid):
    while True:
        message = hear(socket, "media", "dtmf")
        if message["event"] == "dtmf":
            say(dtmf=message["dtmf"])
            return
        assert message["media"]["track"] == "inbound", message
        payload = message["media"]["payload"]
        socket.send(json.dumps({"event": "media", "streamSid": sid, "media": {"payload": payload}}))


def clear(socket, sid):
    sound = base64.b64encode(b"\x33" * 40000).decode()
    for n in range(10):
        socket.send(json.dumps({"event": "media", "streamSid": sid, "media": {"payload": sound}}))
        socket.send(json.dumps({"event": "mark", "streamSid": sid, "mark": {"name": f"mark {n}"}}))
        time.sleep(0.4)
        at = time.time()
        socket.send(json.dumps({"event": "clear", "streamSid": sid}))
        mark = hear(socket, "mark")
        say(clear=at, mark=mark["mark"]["name"])
        time.sleep(0.4)


def handle(socket):
    say(signed=signed(socket))
    connected, start = json.loads(socket.recv()), json.loads(socket.recv())
    assert connected == {"event": "connected", "protocol": "Call", "version": "1.0.0"}, connected
    assert start["event"] == "start", start
    say(start=start["start"])
    {"/echo": echo, "/clear": clear}[socket.request.path](socket, start["streamSid"])


with serve(handle, "127.0.0.1", PORT) as server:
    say(ready=True)
    server.serve_forever()
