#!/usr/bin/env python3
"""Where recordings are sent: refuses the first ones with 503, then keeps each body as a file of the given folder.
Prints its port, then each request as a line of JSON."""

import json
import pathlib
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

folder, refusals = pathlib.Path(sys.argv[1]), int(sys.argv[2])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        global refusals
        body = self.rfile.read(int(self.headers["Content-Length"]))
        refused = refusals > 0
        refusals -= 1
        status = 503 if refused else 201
        if not refused:
            (folder / pathlib.Path(urlsplit(self.path).path).name).write_bytes(body)
        headers = {k.lower(): v for k, v in self.headers.items()}
        print(json.dumps({"method": self.command, "path": self.path, "headers": headers, "bytes": len(body), "status": status}), flush=True)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_PUT

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
