"""A backend over HTTP that takes lines of JSON, and misbehaves as it is told."""

import collections
import gzip
import json
import random
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# What the tests start has one of these in its arguments: their own, or that of a storm (`linnet-bench storm`).
TOKEN = re.compile(rb"token-[a-z]+-[0-9a-f]{16}|storm[a-z0-9]+\.[0-9]+\.[0-9]+\.")
MODES = ["well", "busy", "overload", "error", "picky", "small", "silent", "midway", "slow", "forbidden"]


def kind_of(event):
    """What the agent's account calls an event of this kind."""
    if "feature" in event["metadata"]["product"]:
        return "plugin"
    match event["class_uid"], event["activity_id"]:
        case 1007, 2:
            return "exit"
        case 1007, _:
            return "fork" if event.get("launch_type_id") == 2 else "exec"
        case 1009, _:
            return "script"
        case _:
            return "sensor"


class Backend:
    """Remembers what it has taken: the uid of each event, how many of each kind, and the tokens of what was executed."""

    def __init__(self):
        self.mode = "well"
        self.lock = threading.Lock()
        self.digests = {}
        self.kinds = collections.Counter()
        self.tokens = set()
        self.doubles = 0
        self.differing = 0
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

    def take(self, lines):
        for line in lines:
            event = json.loads(line)
            uid, kind, digest = event["metadata"]["uid"], kind_of(event), hash(line)
            with self.lock:
                if uid in self.digests:
                    self.doubles += 1
                    self.differing += self.digests[uid] != digest
                    continue
                self.digests[uid] = digest
                self.kinds[kind] += 1
                if kind == "exec":
                    self.tokens.update(TOKEN.findall(line))

    def missing(self, tokens):
        """Those that are in nothing that it took."""
        with self.lock:
            return [token for token in tokens if token.encode() not in self.tokens]


def reply(request, status, *headers):
    request.send_response(status)
    for name, value in headers:
        request.send_header(name, value)
    request.send_header("Content-Length", "0")
    request.end_headers()
