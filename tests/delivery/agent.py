"""A real agent with one sink, what it claims, and processes that are told by a token in their arguments.

The claim (`network_sinks` of the health document) is held against what the backend has: for each kind of event, the number
of different uids there is what the account calls delivered.
"""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

AGENT = pathlib.Path(os.environ["LINNET_BIN_DIR"]) / "linnet-agent"
WORK = pathlib.Path(sys.argv[1])
PATIENCE = 120


class Agent:
    def __init__(self, name, sink, spool_bytes=64 << 20, **settings):
        """`sink` is a backend, or what differs from a sink that is quick to try again; `settings` is what differs beside it."""
        self.directory = WORK / name
        self.directory.mkdir()
        self.settings = self.directory / "linnet.json"
        sink = sink if isinstance(sink, dict) or sink is None else {"url": sink.url}
        sink = {"retry_max_s": 1, "timeout_s": 2, "proxy": "none", "batch": {"linger_ms": 100}} | (sink or {})
        document = {
            "output": {"file": None},
            "sinks": {"backend": sink},
            "spool": {"directory": str(self.directory / "spool"), "max_bytes": spool_bytes},
            "health": {"interval_s": 1},
            "runtime_dir": str(self.directory / "run"),
            "fleet": {"enrolment": str(self.directory / "none.json"), "state_dir": str(self.directory / "state")},
            **settings,
        }
        self.settings.write_text(json.dumps(document))
        self.process = None

    def launch(self, **environment):
        log = (self.directory / "log").open("ab")
        command = [AGENT, "run", "--settings", self.settings]
        self.process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | environment)

    def start(self):
        self.launch()
        self.until("it watches", lambda health: health["pid"] == self.process.pid and health["canary"]["seen"] > 0)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0
        return self.health()

    def health(self):
        try:
            return json.loads((self.directory / "run" / "health.json").read_text())
        except FileNotFoundError:
            return None

    def until(self, what, reached):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            health = self.health()
            if health and reached(health):
                return health
            assert self.process.poll() is None, f"the agent ended: {self.process.returncode}"
            time.sleep(0.1)
        raise AssertionError(f"not in {PATIENCE} s: {what}: {json.dumps(self.health())[-3000:]}")


def account(health):
    return health["network_sinks"][0]["events"]


def is_drained(health):
    return all(one["waiting"] == 0 for one in account(health).values())


def cause(count, word="plain"):
    """Starts so many processes; each has a token of its own."""
    tokens = []
    for _ in range(count):
        token = f"token-{word}-{random.getrandbits(64):016x}"
        subprocess.run(["/bin/true", token], check=True)
        tokens.append(token)
    return tokens


def is_in_spool(agent, tokens):
    """Whether the last of them has left the agent's memory: the spool's files hold it."""
    token = tokens[-1].encode()
    segments = sorted((agent.directory / "spool").glob("*.seg"))
    return any(token in segment.read_bytes() for segment in segments[-2:])


def in_spool(agent, tokens):
    end = time.monotonic() + PATIENCE
    while not is_in_spool(agent, tokens):
        assert time.monotonic() < end, "events never reached the spool"
        time.sleep(0.02)


def settled(agent):
    """A health document from before may know nothing yet of what is in the spool by now."""
    began = time.time()
    path = agent.directory / "run" / "health.json"
    agent.until("there is a new health document", lambda _: path.stat().st_mtime > began)
    return agent.until("all is settled", is_drained)


def check_account(backend, health, lost_allowed=False):
    """The claim, kind by kind, against what the backend has. Gives what was dropped."""
    have = backend.kinds
    for kind, one in account(health).items():
        dropped = sum(one["dropped"].values())
        assert one["appended"] == one["delivered"] + one["filtered"] + one["refused"] + dropped + one["waiting"], (kind, one)
        assert lost_allowed or dropped == 0, (kind, one)
        # One that a backend took and answered for badly may have been dropped here all the same.
        difference = have[kind] - one["delivered"]
        assert 0 <= difference <= dropped + one["waiting"] + one["refused"], (kind, one, have)
    assert backend.differing == 0, "a double is not what it was the first time"
    return sum(sum(one["dropped"].values()) for one in account(health).values())
