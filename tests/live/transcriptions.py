#!/usr/bin/env python3
"""A recogniser with OpenAI's interface: POST /v1/audio/transcriptions, understood by pocketsphinx. Prints its port."""

import json
import subprocess
import sys
import tempfile
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

WORDS = Path(__file__).with_name("words.py")


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        kind = self.headers["Content-Type"]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        form = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
        parts = {part.get_param("name", header="content-disposition"): part for part in form.iter_parts()}
        if self.path != "/v1/audio/transcriptions" or parts["model"].get_content().strip() != "whisper-1":
            self.send_error(404)
            return
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            file.write(parts["file"].get_payload(decode=True))
            file.flush()
            words = [sys.executable, WORDS, file.name, "--sure"]
            text, sure = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
        reply = json.dumps({"text": text.strip(), "confidence": float(sure)}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
