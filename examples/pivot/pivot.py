#!/usr/bin/env python3
"""A Pivot application in the Python standard library.

    python3 pivot.py [PORT]        (8080 when none is given, on loopback)

    /hello   says a sentence and hangs up
    /menu    asks for four digits and comes back to /digits with them
    /digits  says the digits it was given

Every request is printed with its parameters, so that you see what swivel sends. GET, POST form and POST json work.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit


def tts(text, then=None):
    """One `tts` node; `then` is the node that follows it."""
    return {"module": "tts", "data": {"text": text}, "children": {"_": then} if then else {}}


def hello(_params, _base):
    return tts("Pivot is pretty awesome. Have a great day.")


def menu(_params, base):
    ask_again = {"module": "pivot", "data": {"voice_url": f"{base}/digits", "debug": True}, "children": {}}
    collect = {"module": "collect_dtmf", "data": {"max_digits": 4, "timeout": 8000}, "children": {"_": ask_again}}
    return tts("Please enter four digits.", collect)


def digits(params, _base):
    entered = params.get("Digits[default]", "")
    if not entered:
        return tts("I did not hear any digits. Goodbye.")
    return tts("You entered " + " ".join(entered) + ". Goodbye.")


PAGES = {"/": hello, "/hello": hello, "/menu": menu, "/digits": digits}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.reply(dict(parse_qsl(urlsplit(self.path).query)))

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        if self.headers.get_content_type() == "application/json":
            self.reply(flatten(json.loads(body)))
        else:
            self.reply(dict(parse_qsl(body)))

    def reply(self, params):
        page = PAGES.get(urlsplit(self.path).path)
        print(self.command, self.path, json.dumps(params), flush=True)
        flow = page(params, f"http://{self.headers['Host']}") if page else {}
        body = json.dumps(flow).encode()
        self.send_response(200 if page else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        pass


def flatten(value, prefix=""):
    """{"Digits": {"default": "12"}} as a form would have it: {"Digits[default]": "12"}."""
    if not isinstance(value, dict):
        return {prefix: value}
    flat = {}
    for key, inner in value.items():
        flat.update(flatten(inner, f"{prefix}[{key}]" if prefix else key))
    return flat


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    print(f"Pivot application on http://127.0.0.1:{server.server_port}/hello", flush=True)
    server.serve_forever()
