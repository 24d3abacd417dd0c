#!/usr/bin/env python3
"""Twilio's own library as a client of our REST API, with a web application of its own. Arguments: the server's host and
port, the account's id, its auth token. Telephones `ann`, `ben` and `cara` answer at once. Ends with a message about what
is not as Twilio has it."""

import http.server
import json
import sys
import threading
import time
import urllib.parse

import requests
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

server, account, token = sys.argv[1:]
told = []


class Application(http.server.BaseHTTPRequestHandler):
    """Answers `/voice` with a pause, and remembers what it is told."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = dict(urllib.parse.parse_qsl(body, keep_blank_values=True))
        form["_path"] = self.path
        form["_genuine"] = RequestValidator(token).validate(
            f"{application}{self.path}",
            {name: value for name, value in form.items() if name != "_path"},
            self.headers.get("X-Twilio-Signature", ""),
        )
        told.append(form)
        answer = b"<Response><Pause length='30'/></Response>" if self.path == "/voice" else b""
        self.send_response(200)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Application)
application = f"http://127.0.0.1:{listener.server_address[1]}"
threading.Thread(target=listener.serve_forever, daemon=True).start()


class Here(TwilioHttpClient):
    """Sends to our server what is meant for Twilio's."""

    def request(self, method, url, *arguments, **named):
        return super().request(method, url.replace("https://api.twilio.com", f"http://{server}"), *arguments, **named)


def wait(what, ready, seconds=30):
    deadline = time.monotonic() + seconds
    while True:
        found = ready()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.05)


def refused(code, status, act):
    try:
        act()
    except TwilioRestException as error:
        assert (error.code, error.status) == (code, status), error
        return error
    raise AssertionError(f"error {code} did not come")


sid = "AC" + account
client = Client(sid, token, http_client=Here())
calls = client.calls

# Who has no token, or another one, is told nothing.
refused(20003, 401, lambda: Client(sid, "wrong", http_client=Here()).calls("CA1").fetch())
refused(20404, 404, lambda: client.calls("CA" + "0" * 32).fetch())
refused(21201, 400, lambda: calls.create(to="", from_="+15550001", url=application + "/voice"))
refused(21205, 400, lambda: calls.create(to="1001", from_="+15550001"))
refused(21205, 400, lambda: calls.create(to="1001", from_="+15550001", url="http://169.254.169.254/"))
refused(12100, 400, lambda: calls.create(to="1001", from_="+15550001", twiml="<Response><Say>"))
refused(21217, 400, lambda: calls.create(to="client:nobody", from_="+15550001", twiml="<Response/>"))
assert client.api.accounts(sid).fetch().friendly_name == "live"

# A call by URL: the application is asked, and told how it goes.
call = calls.create(
    to="client:ann",
    from_="+15550001",
    url=application + "/voice",
    status_callback=application + "/status",
    status_callback_event=["initiated", "ringing", "answered", "completed"],
    machine_detection="Enable",
)
assert call.sid.startswith("CA") and len(call.sid) == 34, call.sid
assert call.status == "queued" and call.direction == "outbound-api", call.status
voice = wait("the request for the document", lambda: [t for t in told if t["_path"] == "/voice"])[0]
assert voice["CallSid"] == call.sid, voice
assert voice["From"] == "+15550001" and voice["Direction"] == "outbound-api", voice
assert voice["CallStatus"] == "in-progress" and voice["_genuine"], voice
fetched = wait("the call in progress", lambda: (c := calls(call.sid).fetch()).status == "in-progress" and c)
assert fetched.to == "client:ann" and fetched._from == "+15550001", vars(fetched)
assert [c.sid for c in calls.list(status="in-progress")] == [call.sid]
assert calls.list(status="completed") == []

# It is sent elsewhere in the middle, recorded from there on, and ended.
calls(call.sid).update(twiml="<Response><Say>You are somewhere else now</Say><Pause length='30'/></Response>")
recording = calls(call.sid).recordings.create(recording_channels="dual")
assert recording.call_sid == call.sid and recording.status == "in-progress"
refused(12100, 400, lambda: calls(call.sid).update(twiml="<Answer/>"))
refused(21220, 400, lambda: calls(call.sid).update(status="canceled"))
time.sleep(1.5)
calls(call.sid).recordings(recording.sid).update(status="stopped")
calls(call.sid).update(status="completed")
over = wait("the end of the call", lambda: (c := calls(call.sid).fetch()).status == "completed" and c)
assert int(over.duration) >= 1 and over.end_time >= over.start_time, vars(over)
refused(21220, 400, lambda: calls(call.sid).update(twiml="<Response/>"))
states = wait(
    "the status callbacks",
    lambda: (s := [t for t in told if t["_path"] == "/status"])[3:] and s,
)
assert [t["CallStatus"] for t in states] == ["initiated", "ringing", "in-progress", "completed"], states
assert [t["SequenceNumber"] for t in states] == ["0", "1", "2", "3"], states
assert all(t["CallSid"] == call.sid and t["_genuine"] for t in states), states

# Its recording is listed, heard and deleted.
kept = wait("the recording", lambda: [r for r in client.recordings.list(call_sid=call.sid) if r.status == "completed"])[0]
assert kept.sid == recording.sid and kept.call_sid == call.sid and kept.channels == 2, vars(kept)
assert client.recordings(kept.sid).fetch().source == "StartCallRecordingAPI"
sound = requests.get(f"http://{server}/2010-04-01/Accounts/{sid}/Recordings/{kept.sid}.wav", auth=(sid, token), timeout=10)
assert sound.status_code == 200 and sound.content[:4] == b"RIFF", sound.status_code
bare = requests.get(f"http://{server}/2010-04-01/Accounts/{sid}/Recordings/{kept.sid}", auth=(sid, token), timeout=10)
assert bare.content == sound.content
stranger = requests.get(f"http://{server}/2010-04-01/Accounts/{sid}/Recordings/{kept.sid}.wav", timeout=10)
assert stranger.status_code == 401, stranger.status_code
assert client.recordings(kept.sid).delete()
refused(20404, 404, lambda: client.recordings(kept.sid).fetch())

# A call recorded from its answer, by a document at hand, to a number.
call = calls.create(to="1002", from_="+15550002", twiml="<Response><Pause length='1'/></Response>", record=True, timeout=20)
wait("the end of the call", lambda: calls(call.sid).fetch().status == "completed")
kept = wait("its recording", lambda: client.recordings.list(call_sid=call.sid))[0]
assert kept.source == "OutboundAPI", kept.source

# Nobody there.
refused(21214, 400, lambda: calls.create(to="1009", from_="+15550002", twiml="<Response/>"))
call = calls.create(to=f"sip:bob@127.0.0.1:9", from_="+15550002", twiml="<Response/>", timeout=3)
wait("a failure", lambda: calls(call.sid).fetch().status in ("busy", "no-answer", "failed"))

# A conference of two, whose members are led.
names = {}
for name in ("ann", "ben"):
    one = client.conferences("team").participants.create(
        from_="+15550003", to=f"client:{name}", label=name, end_conference_on_exit=False, early_media=False
    )
    names[name] = one.call_sid
room = wait("the conference", lambda: client.conferences.list(friendly_name="team", status="in-progress"))[0]
members = wait("both members", lambda: (m := client.conferences(room.sid).participants.list())[1:] and m)
assert {m.call_sid for m in members} == set(names.values()), [m.call_sid for m in members]
ann = client.conferences(room.sid).participants(names["ann"])
assert ann.update(muted=True).muted and not ann.update(muted=False).muted
assert ann.update(hold=True).hold and not ann.fetch().muted
assert not ann.update(hold=False).hold
assert client.conferences(room.sid).participants("ben").fetch().call_sid == names["ben"]
assert ann.delete()
wait("the end of ann's call", lambda: calls(names["ann"]).fetch().status == "completed")
assert client.conferences(room.sid).update(status="completed").status == "completed"
wait("the end of ben's call", lambda: calls(names["ben"]).fetch().status == "completed")
wait("the end of the conference", lambda: not client.conferences.list())
refused(20404, 404, lambda: client.conferences(room.sid).fetch())

# Calls are listed a page at a time, each once, and found by whom they were to.
all_calls = calls.list(page_size=2)
sids = [c.sid for c in all_calls]
assert len(sids) == len(set(sids)) == 5, sids
assert len(calls.list(to="1002")) == 1 and len(calls.list(from_="+15550003")) == 2
assert calls.list(start_time_after="2100-01-01") == []
print(json.dumps({"calls": len(sids), "told": len(told)}))
