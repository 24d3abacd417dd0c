#!/usr/bin/env python3
"""An application as people write them for Twilio, with Twilio's own library: a menu by keys or by speech, a queue with
its agents, a meeting, a mailbox. Requests without Twilio's signature are refused. Prints its port, and each request as a
line of JSON: its path, what it tells, and whether the signature was right."""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

from twilio.request_validator import RequestValidator
from twilio.twiml.voice_response import Dial, Gather, VoiceResponse

VALIDATOR = RequestValidator(sys.argv[1])
PRINTING = threading.Lock()


def voice(_form):
    response = VoiceResponse()
    gather = Gather(
        input="dtmf speech",
        num_digits=1,
        timeout=20,
        speech_timeout="auto",
        action="/menu",
        partial_result_callback="/partial",
        hints="weather, money",
    )
    gather.say("Welcome. Press 1 for support, 2 for the meeting, or 3 to leave a message, or say what you want.")
    response.append(gather)
    response.redirect("/voice")
    return response


def menu(form):
    response = VoiceResponse()
    key = form.get("Digits")
    if key == "1":
        response.say("One moment please.")
        response.enqueue("support", wait_url="/wait", action="/left")
    elif key == "2":
        dial = Dial(action="/met", time_limit=25)
        dial.conference(
            "meeting",
            beep=False,
            participant_label=form["CallSid"][:8],
            status_callback="/conference",
            status_callback_event="start end join leave",
        )
        response.append(dial)
    elif key == "3":
        response.say("Please speak after the tone.")
        response.record(
            max_length=40,
            timeout=4,
            finish_on_key="#",
            action="/recorded",
            recording_status_callback="/kept",
            transcribe=True,
            transcribe_callback="/understood",
        )
        response.say("Nothing was recorded.")
    else:
        response.say("You said: " + form.get("SpeechResult", "nothing at all"))
        response.hangup()
    return response


def wait(form):
    response = VoiceResponse()
    response.say("You are number %s of %s." % (form["QueuePosition"], form["CurrentQueueSize"]))
    response.pause(length=1)
    return response


def agent(_form):
    response = VoiceResponse()
    dial = Dial(action="/took", timeout=20, time_limit=4)
    dial.queue("support", url="/announce")
    response.append(dial)
    return response


def saying(text):
    def answer(_form):
        response = VoiceResponse()
        response.say(text)
        response.hangup()
        return response

    return answer


def announce(_form):
    response = VoiceResponse()
    response.say("Somebody is there for you.")
    return response


PAGES = {
    "/voice": voice,
    "/menu": menu,
    "/wait": wait,
    "/agent": agent,
    "/announce": announce,
    "/left": saying("Thank you for waiting."),
    "/took": saying("Well done."),
    "/met": saying("The meeting is over."),
    "/recorded": saying("Thank you, goodbye."),
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        form = dict(parse_qsl(body, keep_blank_values=True))
        url = "http://%s%s" % (self.headers["Host"], self.path)
        valid = VALIDATOR.validate(url, form, self.headers.get("X-Twilio-Signature", ""))
        with PRINTING:
            sys.stdout.write(json.dumps({"path": self.path, "form": form, "valid": valid}) + "\n")
            sys.stdout.flush()
        page = PAGES.get(self.path)
        if not valid:
            self.reply(403, "")
        elif page is None:
            self.reply(204, "")
        else:
            self.reply(200, str(page(form)))

    def reply(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
