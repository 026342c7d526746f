"""A backend over HTTP that takes lines of JSON, and misbehaves as it is told."""

import gzip
import random
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tally import Tally

MODES = ["well", "busy", "overload", "error", "picky", "small", "silent", "midway", "slow", "forbidden"]


class Backend(Tally):
    """A server, and what it has taken."""

    def __init__(self):
        super().__init__()
        self.mode = "well"
        self.requests = {}
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                backend.answer(self)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        # A connection that a killed agent leaves is no news.
        self.server.handle_error = lambda *_: None
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/in"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request):
        body = request.rfile.read(int(request.headers["content-length"]))
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        lines = body.splitlines()
        mode = self.mode if self.mode != "mixed" else random.choice(MODES)
        with self.lock:
            self.requests[mode] = self.requests.get(mode, 0) + 1
        match mode:
            case "busy":
                return reply(request, 503, ("Retry-After", "1"))
            case "overload":
                return reply(request, 429)
            case "error":
                return reply(request, 500)
            case "forbidden":
                return reply(request, 403)
            case "picky" if any(b"picky-marker" in line for line in lines):
                return reply(request, 400)
            case "small" if len(lines) > 20:
                return reply(request, 413)
            case "silent":
                request.close_connection = True
                return request.connection.shutdown(socket.SHUT_RDWR)
            case "midway":
                # It may have taken them, and the sensor can't know.
                self.take(lines)
                request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
                request.wfile.flush()
                request.close_connection = True
                return request.connection.shutdown(socket.SHUT_RDWR)
            case "slow":
                threading.Event().wait(3)
                self.take(lines)
        if mode != "slow":
            self.take(lines)
        try:
            return reply(request, 200)
        except OSError:
            return None


def reply(request, status, *headers):
    request.send_response(status)
    for name, value in headers:
        request.send_header(name, value)
    request.send_header("Content-Length", "0")
    request.end_headers()
