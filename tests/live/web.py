#!/usr/bin/env python3
"""The Pivot application of the live tests: one path a behaviour. Prints each request as a line of JSON."""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# Requests are answered at the same time, and each is one whole line.
PRINTING = threading.Lock()
SENTENCE = {"module": "tts", "data": {"text": "Pivot is pretty awesome. Have a great day."}, "children": {}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer("")

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())

    def answer(self, body):
        line = json.dumps({"at": time.time(), "method": self.command, "path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}, "body": body})
        with PRINTING:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        path = urlsplit(self.path).path
        if path == "/ok":
            self.reply(200, "application/json", json.dumps(SENTENCE))
        elif path == "/first":
            again = {"module": "pivot", "data": {"voice_url": "http://%s/second" % self.headers["Host"], "method": "post"}, "children": {}}
            self.reply(200, "application/json", json.dumps({"module": "answer", "data": {}, "children": {"_": again}}))
        elif path == "/second":
            self.reply(200, "application/json", json.dumps({"module": "sleep", "data": {"duration": 1}, "children": {}}))
        elif path == "/slow":
            time.sleep(4)
            self.reply(200, "application/json", json.dumps(SENTENCE))
        elif path == "/invalid":
            self.reply(200, "application/json", '{"module": "tts", "data": }')
        elif path == "/schema":
            self.reply(200, "application/json", '{"module": "tts", "data": {"voice": "female"}, "children": {}}')
        elif path == "/twiml":
            self.reply(200, "text/xml", "<Response><Say>Pivot is pretty awesome. Have a great day.</Say></Response>")
        elif path == "/xml":
            self.reply(200, "text/xml", "<html><p>Hello</p></html>")
        elif path == "/sound.wav":
            self.reply(200, "audio/wav", open(sys.argv[1], "rb").read())
        else:
            self.reply(404, "text/plain", "there is nothing here")

    def reply(self, status, kind, body):
        body = body if isinstance(body, bytes) else body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Test", "Live")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
