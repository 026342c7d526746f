"""An agent under test, and what it claims of itself.

Its claim (`network_sinks` of its health document) is held against what the backend has: for each kind of event, the number
of different uids there is what the account calls delivered.
"""

import json
import os
import pathlib
import signal
import subprocess
import time

AGENT = pathlib.Path(os.environ["LINNET_BIN_DIR"]) / "linnet-agent"
PATIENCE = 120


class Agent:
    def __init__(self, directory, backend, spool_bytes=64 << 20, **settings):
        self.directory = directory
        self.directory.mkdir()
        self.settings = self.directory / "linnet.json"
        sink = {"url": backend.url if backend else None, "retry_max_s": 1, "timeout_s": 2, "proxy": "none", "batch": {"linger_ms": 100}}
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
        self.process = subprocess.Popen([AGENT, "run", "--settings", self.settings], stdout=log, stderr=log, env=os.environ | environment)

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
