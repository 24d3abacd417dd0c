#!/usr/bin/env python3
"""A Pivot application that answers TwiML, in the Python standard library.

    python3 menu.py [PORT]        (8081 when none is given, on loopback)

    /menu    asks for a key and comes back with it
    /after   says how the call that key 2 placed went

With `twiml_profile` kazoo swivel asks these pages by GET, with twilio by POST; both work.
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

MENU = """
  <Gather numDigits="1" action="/menu" timeout="8">
    <Say>Press 1 to hear a sentence, or 2 to ring extension 1 0 0 2.</Say>
  </Gather>
  <Say>No key was pressed. Goodbye.</Say>
"""


def menu(params):
    digits = params.get("Digits")
    if digits is None:
        return MENU
    if digits == "1":
        return "<Say>Pivot is pretty awesome.<break time=\"500ms\"/>Have a great day.</Say>"
    if digits == "2":
        return '<Dial action="/after" timeout="20"><Number>1002</Number></Dial>'
    return "<Say>There is nothing behind that key.</Say><Redirect>/menu</Redirect>"


def after(params):
    status = params.get("DialCallStatus", "failed")
    return f"<Say>That call was {status.replace('-', ' ')}. Goodbye.</Say>"


PAGES = {"/menu": menu, "/after": after}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.reply(dict(parse_qsl(urlsplit(self.path).query)))

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.reply(dict(parse_qsl(body)))

    def reply(self, params):
        page = PAGES.get(urlsplit(self.path).path)
        print(self.command, self.path, params, flush=True)
        verbs = page(params) if page else ""
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Response>{verbs}</Response>\n'.encode()
        self.send_response(200 if page else 404)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        pass


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8081
    print(f"http://127.0.0.1:{port}/menu", flush=True)
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
