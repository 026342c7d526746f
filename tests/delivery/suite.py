"""What was caused is delivered, or is in the account: real processes, a real agent, a backend that fails.

Processes are told by a token in their arguments.
"""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

from agent import PATIENCE, Agent, account, check_account, is_drained
from backend import Backend

WORK = pathlib.Path(sys.argv[1])


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


def failing():
    """Nothing is lost while the backend fails in each way and the agent is killed."""
    backend = Backend()
    agent = Agent(WORK / "failing", backend)
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
    assert not backend.missing(tokens), backend.missing(tokens)[:3]
    check_account(backend, health)
    print(f"   {len(tokens)} processes, {len(backend.digests)} events, {backend.doubles} doubles, requests {backend.requests}")


def refused():
    """One event that is refused is put aside, and the rest goes on."""
    backend = Backend()
    backend.mode = "picky"
    agent = Agent(WORK / "refused", backend)
    agent.start()
    tokens = cause(20)
    subprocess.run(["/bin/true", "picky-marker"], check=True)
    tokens += cause(20)
    in_spool(agent, tokens)
    agent.until("all is settled", is_drained)
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
    agent = Agent(WORK / "overflow", backend, spool_bytes=1 << 20)
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
    dropped = check_account(backend, health, lost_allowed=True)
    gone = backend.missing(tokens)
    assert 0 < len(gone) <= account(health)["exec"]["dropped"]["spool_full"], (len(gone), account(health)["exec"])
    print(f"   {len(tokens)} processes, {len(gone)} of them dropped, {dropped} events in the account")


def main():
    failed = 0
    cases = [failing, refused, overflow]
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
