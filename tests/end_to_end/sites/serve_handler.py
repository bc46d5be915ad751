"""The same routes, written for `http.server`."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import edges


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        what = self.path.lstrip("/")
        if what == "attack":
            edges.block()
        if what in edges.STREAMS:
            self.begin(200)
            for part in edges.STREAMS[what]():
                self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")
            return
        if what.startswith("caught"):
            edges.swallow()
        self.answer(500 if what == "caught-500" else 200, b"{}")

    do_HEAD = do_GET

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/attack":
            edges.block()
        self.answer(200, json.dumps(edges.inputs_of("x' OR 1")).encode())

    def begin(self, status, length=None):
        self.send_response(status)
        if length is None:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def answer(self, status, body):
        self.begin(status, len(body))
        self.wfile.write(body)

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    port = int(sys.argv[1])
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
