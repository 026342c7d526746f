"""Outputs that take nothing for a while: a disk that does not answer, a reader that does not read.

The sensor must not look dead meanwhile, for systemd and the updater act on that; it says what hangs, and ends when it is told to.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

from agent import Agent, cause, check_account, settled
from backend import Backend
from disk import Disk

WORK = pathlib.Path(sys.argv[1])
# So that what a pipe holds, and the queue before the outputs, is soon full.
LONG = "x" * 2000
# The updater takes an agent for hung that has said nothing for so long.
SILENCE_S = 30


def hangs(health):
    return any("has taken nothing for" in reason for reason in health["degraded"])


def never_silent(agent, seconds):
    """For so long, with processes to tell of all the time, the health document is there and new. Gives their tokens."""
    tokens, oldest, end = [], 0, time.monotonic() + seconds
    path = agent.directory / "run" / "health.json"
    attempted = 0
    while time.monotonic() < end:
        token = f"token-still-{os.urandom(8).hex()}"
        subprocess.run(["/bin/true", token, LONG], check=True)
        tokens.append(token)
        time.sleep(0.02)
        oldest = max(oldest, time.time() - path.stat().st_mtime)
        before, attempted = attempted, agent.health()["losses"]["exec"]["attempted"]
        assert attempted >= before, f"a counter went back: {before}, {attempted}"
    print(f"   {len(tokens)} processes, the health document was {oldest:.1f} s old at most")
    assert oldest < SILENCE_S / 2, f"{oldest} s"
    return tokens


def a_disk_that_stands_still():
    """While the spool's disk does not answer the sensor lives on and says so; afterwards all of it arrives."""
    (WORK / "still").mkdir()
    disk = Disk(WORK / "still" / "disk")
    backend = Backend()
    agent = Agent("still-agent", backend, spool={"directory": str(disk.directory / "spool"), "max_bytes": 64 << 20})
    try:
        if disk.is_memory:
            print("   NOT TRIED: no loop device here, and a tmpfs can't be frozen")
            return
        agent.start()
        tokens = cause(50)
        settled(agent)
        disk.stand_still()
        try:
            tokens += never_silent(agent, 20)
            health = agent.until("it says what hangs", hangs)
            assert any(reason.startswith("spool has taken nothing") for reason in health["degraded"]), health["degraded"]
        finally:
            disk.go_on()
        tokens += cause(50)
        agent.until("all is well", lambda health: not hangs(health))
        settled(agent)
        health = agent.stop()
        check_account(backend, health)
        # The ring had room for all that came meanwhile.
        assert not backend.missing(tokens), len(backend.missing(tokens))
        # Nor was anything of it left out or taken for gone: records that wait in the ring are no pressure to be relieved by that.
        assert "missing_shed" not in health["files"], health["files"]
        assert health["process_table"]["swept"] == 0, health["process_table"]
    finally:
        if agent.process and agent.process.poll() is None:
            agent.kill()
        disk.close()


def unread(name):
    """An agent whose output nobody reads, until it says so."""
    agent = Agent(name, None, sinks={}, output={"file": None, "stdout": True})
    command = [os.environ["LINNET_BIN_DIR"] + "/linnet-agent", "run", "--settings", agent.settings]
    log = (agent.directory / "log").open("ab")
    agent.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
    agent.until("it watches", lambda health: health["pid"] == agent.process.pid and health["canary"]["seen"] > 0)
    never_silent(agent, 10)
    agent.until("it says what hangs", hangs)
    return agent


def a_reader_that_stands_still():
    """Nobody reads standard output: the sensor follows its settings, and ends in time when it is told to, with all in the account."""
    agent = unread("unread")
    before = agent.health()["settings"]["loaded_at"]
    agent.process.send_signal(signal.SIGHUP)
    agent.until("settings are read", lambda health: health["settings"]["loaded_at"] != before)
    agent.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert agent.process.wait(60) == 0, agent.process.returncode
    took = time.monotonic() - began
    agent.process.stdout.close()
    health = agent.health()
    one = health["losses"]["exec"]
    settled_ = sum(sum(one[key].values()) for key in ("filtered", "shed", "dropped")) + one["delivered"] + one["waiting"]
    print(f"   ended after {took:.1f} s: received {one['received']}, delivered {one['delivered']}, waiting {one['waiting']}")
    assert health["state"] == "stopping", health["state"]
    assert one["received"] == one["decode_errors"] + settled_, one
    assert one["waiting"] > 0, one
    # systemd kills after 20.
    assert took < 20, took


def a_reader_that_reads_again_at_the_stop():
    """What waited for a reader that hung is there to the last line when it reads on, and the last line is that of the stop."""
    agent = unread("reads-again")
    agent.process.send_signal(signal.SIGTERM)
    lines = agent.process.stdout.read().splitlines()
    assert agent.process.wait(60) == 0, agent.process.returncode
    last = json.loads(lines[-1])
    assert (last["class_uid"], last["activity_id"]) == (6002, 4), last
    losses = agent.health()["losses"]
    waiting = {kind: one["waiting"] for kind, one in losses.items()}
    assert not any(waiting.values()), waiting
    told = sum(json.loads(line).get("class_uid") == 1007 for line in lines)
    delivered = sum(one["delivered"] for one in losses.values())
    print(f"   {len(lines)} lines, {told} of processes, {delivered} delivered")
    assert 0 < told <= delivered, (told, delivered)


CASES = [a_disk_that_stands_still, a_reader_that_stands_still, a_reader_that_reads_again_at_the_stop]
