"""What was caused is delivered, or is in the account: real processes, a real agent, a backend that fails.

The cases of a kind of backend are in a file of its own; here are those of the spool, and of HTTP.
"""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import clickhouse
import otlp
import still
import syslog_cases
from agent import Agent, account, cause, check_account, in_spool, settled
from backend import Backend


def failing():
    """Nothing is lost while the backend fails in each way and the agent is killed."""
    backend = Backend()
    agent = Agent("failing", backend)
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
    settled(agent)
    health = agent.stop()
    assert not backend.missing(tokens), backend.missing(tokens)[:3]
    check_account(backend, health)
    print(f"   {len(tokens)} processes, {len(backend.digests)} events, {backend.doubles} doubles, requests {backend.requests}")


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
    settled(agent)
    health = agent.stop()
    assert not backend.missing(tokens)
    check_account(backend, health)
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
    settled(agent)
    health = agent.stop()
    dropped = check_account(backend, health, lost_allowed=True)
    gone = backend.missing(tokens)
    assert 0 < len(gone) <= account(health)["exec"]["dropped"]["spool_full"], (len(gone), account(health)["exec"])
    print(f"   {len(tokens)} processes, {len(gone)} of them dropped, {dropped} events in the account")


def main():
    failed = 0
    cases = [failing, refused, overflow, *otlp.CASES, *syslog_cases.CASES, *clickhouse.CASES, *still.CASES]
    if len(sys.argv) > 2:
        cases = [case for case in cases if sys.argv[2] in case.__name__]
        assert cases, f"no case has {sys.argv[2]} in its name"
    for case in cases:
        try:
            case()
            print(f"ok {case.__name__}")
        except Exception as why:
            failed += 1
            print(f"FAILED {case.__name__}: {why!r}")
        finally:
            for child in pathlib.Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split():
                os.kill(int(child), signal.SIGKILL)
    print(f"{len(cases) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
