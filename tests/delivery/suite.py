"""What was caused is delivered, or is in the account: real processes, a real agent, a backend that fails.

Processes are told by a token in their arguments. The agent's claim (`network_sinks` of its health document) is held
against what the backend has: for each kind of event, the number of different uids there is what the account calls
delivered.
"""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

from backend import Backend

AGENT = pathlib.Path(os.environ["LINNET_BIN_DIR"]) / "linnet-agent"
WORK = pathlib.Path(sys.argv[1])
PATIENCE = 120


class Agent:
    def __init__(self, name, backend, spool_bytes=64 << 20):
        self.directory = WORK / name
        self.directory.mkdir()
        self.settings = self.directory / "linnet.json"
        sink = {"url": backend.url, "retry_max_s": 1, "timeout_s": 2, "proxy": "none", "batch": {"linger_ms": 100}}
        document = {
            "output": {"file": None},
            "sinks": {"backend": sink},
            "spool": {"directory": str(self.directory / "spool"), "max_bytes": spool_bytes},
            "health": {"interval_s": 1},
            "runtime_dir": str(self.directory / "run"),
            "fleet": {"enrolment": str(self.directory / "none.json"), "state_dir": str(self.directory / "state")},
        }
        self.settings.write_text(json.dumps(document))
        self.process = None

    def start(self):
        log = (self.directory / "log").open("ab")
        self.process = subprocess.Popen([AGENT, "run", "--settings", self.settings], stdout=log, stderr=log)
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


def check_account(agent, backend, health, lost_allowed=False):
    """The claim, kind by kind, against what the backend has."""
    have = {}
    names = {(1007, 2): "exit", (1009, 1): "script", (6002, 3): "sensor", (6002, 4): "sensor", (6002, 99): "sensor", (6008, 1): "sensor"}
    for line in backend.taken().values():
        event = json.loads(line)
        kind = names.get((event["class_uid"], event["activity_id"]))
        if kind is None:
            kind = "fork" if event["launch_type_id"] == 2 else "exec"
        have[kind] = have.get(kind, 0) + 1
    for kind, one in account(health).items():
        dropped = sum(one["dropped"].values())
        assert one["appended"] == one["delivered"] + one["filtered"] + one["refused"] + dropped + one["waiting"], (kind, one)
        assert lost_allowed or dropped == 0, (kind, one)
        # One that a backend took and answered for badly may have been dropped here all the same.
        difference = have.get(kind, 0) - one["delivered"]
        assert 0 <= difference <= dropped + one["waiting"] + one["refused"], (kind, one, have)
    assert backend.differing == 0, "a double is not what it was the first time"
    return sum(sum(one["dropped"].values()) for one in account(health).values())


def missing(backend, tokens):
    everything = b"\n".join(backend.taken().values())
    return [token for token in tokens if token.encode() not in everything]


def chaos():
    """Nothing is lost while the backend fails in each way and the agent is killed."""
    backend = Backend()
    agent = Agent("chaos", backend)
    agent.start()
    tokens = []
    for mode in ["busy", "midway", "slow", "silent", "mixed", "small"]:
        backend.mode = mode
        batch = cause(60)
        in_spool(agent, batch)
        tokens += batch
        time.sleep(random.random() * 1.5)
        agent.kill()
        agent.start()
    backend.mode = "mixed"
    tokens += cause(300)
    time.sleep(5)
    backend.mode = "well"
    health = agent.until("all is delivered", is_drained)
    health = agent.stop()
    assert not missing(backend, tokens), missing(backend, tokens)[:3]
    check_account(agent, backend, health)
    print(f"   {len(tokens)} processes, {len(backend.taken())} events, {backend.doubles} doubles, requests {backend.requests}")


def refused():
    """One event that is refused is put aside, and the rest goes on."""
    backend = Backend()
    backend.mode = "picky"
    agent = Agent("refused", backend)
    agent.start()
    tokens = cause(20)
    subprocess.run(["/bin/true", "picky-marker"], check=True)
    tokens += cause(20)
    in_spool(agent, tokens)
    agent.until("all is settled", is_drained)
    health = agent.stop()
    assert not missing(backend, tokens)
    check_account(agent, backend, health)
    assert account(health)["exec"]["refused"] == 1, account(health)["exec"]
    letters = (agent.directory / "spool/refused/backend.ndjson").read_text().splitlines()
    assert len(letters) == 1 and "picky-marker" in letters[0] and "400" in json.loads(letters[0])["why"]


def overflow():
    """What a spool that is too small drops is counted by kind and told in the stream; a kill changes nothing of it."""
    backend = Backend()
    backend.mode = "error"
    agent = Agent("overflow", backend, spool_bytes=1 << 20)
    agent.start()
    tokens = []
    for _ in range(4):
        tokens += cause(400)
        in_spool(agent, tokens)
    agent.until("something was dropped", lambda health: account(health)["exec"]["dropped"].get("spool_full", 0) > 0)
    # Positions are stored once a second.
    time.sleep(2)
    agent.kill()
    agent.start()
    backend.mode = "well"
    tokens += cause(10)
    in_spool(agent, tokens)
    agent.until("all is settled", is_drained)
    health = agent.stop()
    dropped = check_account(agent, backend, health, lost_allowed=True)
    gone = missing(backend, tokens)
    assert 0 < len(gone) <= account(health)["exec"]["dropped"]["spool_full"], (len(gone), account(health)["exec"])
    print(f"   {len(tokens)} processes, {len(gone)} of them dropped, {dropped} events in the account")


def main():
    failed = 0
    cases = [chaos, refused, overflow]
    for case in cases:
        try:
            case()
            print(f"ok {case.__name__}")
        except (AssertionError, KeyError, IndexError) as why:
            failed += 1
            print(f"FAILED {case.__name__}: {why!r}")
        finally:
            for child in pathlib.Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split():
                os.kill(int(child), signal.SIGKILL)
    print(f"{len(cases) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
