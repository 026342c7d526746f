"""What a backend has: told by the uid of each event, so that what comes twice is seen."""

import collections
import json
import re
import threading

# What the tests start has one of these in its arguments: their own, or that of a storm (`linnet-bench storm`).
TOKEN = re.compile(rb"token-[a-z]+-[0-9a-f]{16}|storm[a-z0-9]+\.[0-9]+\.[0-9]+\.")


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


class Tally:
    """The uid of each event, how many of each kind, and the tokens of what was executed."""

    def __init__(self):
        self.lock = threading.Lock()
        self.digests = {}
        self.kinds = collections.Counter()
        self.classes = collections.Counter()
        self.tokens = set()
        self.doubles = 0
        self.differing = 0

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
                self.classes[event["class_uid"]] += 1
                if kind == "exec":
                    self.tokens.update(TOKEN.findall(line))

    def missing(self, tokens):
        """Those that are in nothing that it took."""
        with self.lock:
            return [token for token in tokens if token.encode() not in self.tokens]
