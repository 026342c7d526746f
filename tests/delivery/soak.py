"""An agent with everything on under a mixed load, for long: does it grow?

    tests/delivery/soak.py DIRECTORY MINUTES PICTURE

Bursts of execs, scripts and programs that it has never seen, processes that stay, and rest between them; a backend that
fails for a minute of five; the three plugins. Every few seconds its memory, descriptors and threads are read, from outside.
Anonymous memory is what can leak: the rest of what it is charged for is its files' pages, which the kernel takes back. The samples
go to DIRECTORY/samples.csv, and as a picture to PICTURE.

It fails when memory at the end is above that of a quarter in by more than noise, when descriptors or threads are more, or when the
account does not come out.
"""

import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import time

from agent import Agent, account, check_account, is_drained
from backend import Backend
from picture import draw

BENCH = pathlib.Path(os.environ["LINNET_BIN_DIR"]) / "linnet-bench"
PLUGINS = pathlib.Path(os.environ["LINNET_BIN_DIR"]).parent / "plugins"
BURST = 3000
EVERY_S = 10
FAILURES = ["error", "slow", "midway", "busy", "silent", "small", "forbidden"]
# Allocators keep a page here and there.
NOISE_KIB = 1024


# So many that the agent's memory of files (8,192 hashes, 2 MiB of contents) is full before the first quarter of an hour is over.
NEW_SCRIPTS = 80
NEW_PROGRAMS = 40


class Load:
    """What a busy host does in ten seconds."""

    def __init__(self, directory):
        self.directory = directory
        self.turn = 0
        self.staying = []
        self.execs = 0

    def burst(self):
        self.turn += 1
        name = f"storm{self.turn:08x}"
        subprocess.run(
            [BENCH, "storm", "--workers", "2", "--execs", str(BURST), "--token", name, "--dir", self.directory],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        self.execs += BURST
        for number in range(NEW_SCRIPTS):
            script = self.directory / f"job-{number}"
            script.write_text(f"#!/bin/sh\n# {self.turn} {random.random()}\n:\n")
            script.chmod(0o755)
            subprocess.run([script], check=True)
        for number in range(NEW_PROGRAMS):
            # Another content each time, so its hash is not known.
            program = self.directory / f"program-{number}"
            program.unlink(missing_ok=True)
            shutil.copy("/bin/true", program)
            with program.open("ab") as end:
                end.write(os.urandom(64))
            subprocess.run([program], check=True)
        for process in self.staying[:10]:
            process.kill()
            process.wait()
        self.staying = self.staying[10:] + [subprocess.Popen(["/bin/sleep", "600"]) for _ in range(10)]

    def end(self):
        for process in self.staying:
            process.kill()
            process.wait()


def sample(agent, began):
    proc = pathlib.Path("/proc") / str(agent.process.pid)
    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    kib = lambda key: int(status[key].split()[0])
    health = agent.health()
    return {
        "seconds": round(time.monotonic() - began),
        "anonymous_kib": kib("RssAnon"),
        "resident_kib": kib("VmRSS"),
        "charged_kib": (health["usage"]["memory_bytes"] or 0) // 1024,
        "descriptors": len(list((proc / "fd").iterdir())),
        "threads": int(status["Threads"]),
        "spool_kib": health["spool"]["bytes"] // 1024,
        "waiting": sum(one["waiting"] for one in account(health).values()),
    }


def verdict(samples):
    """The end against a quarter in, each as the median of a tenth of the run."""
    tenth = max(3, len(samples) // 10)
    early, late = samples[len(samples) // 4 :][:tenth], samples[-tenth:]
    of = lambda some, key: statistics.median(one[key] for one in some)
    for key, noise in [("anonymous_kib", NOISE_KIB), ("descriptors", 0), ("threads", 0)]:
        before, after = of(early, key), of(late, key)
        print(f"   {key}: {before} a quarter in, {after} at the end, most {max(one[key] for one in samples)}")
        assert after <= before + noise, f"{key} grew from {before} to {after}"


def main():
    work, minutes, picture = pathlib.Path(sys.argv[1]), float(sys.argv[2]), pathlib.Path(sys.argv[3])
    directory = work / "load"
    directory.mkdir()
    # Plugins are run from where only root may write.
    shutil.copytree(PLUGINS, work / "installed")
    backend = Backend()
    agent = Agent(
        "agent",
        backend,
        # Enough for the minute in which nothing is taken.
        spool_bytes=256 << 20,
        output={"file": {"path": str(work / "agent" / "events.ndjson"), "max_bytes": 64 << 20, "keep": 2}},
        plugins={
            "directory": str(work / "installed"),
            "state_directory": str(work / "plugins"),
            "enabled": {"inventory": {}, "persistence": {}, "integrity": {}},
        },
    )
    agent.start()
    load, samples, began = Load(directory), [], time.monotonic()
    try:
        while (passed := time.monotonic() - began) < 60 * minutes:
            minute = int(passed / 60)
            backend.mode = FAILURES[minute // 5 % len(FAILURES)] if minute % 5 == 4 else "well"
            if passed >= load.turn * EVERY_S:
                load.burst()
            time.sleep(max(0.0, 2 - (time.monotonic() - began - passed)))
            samples.append(sample(agent, began))
            # As a process it is of no use to wait for what has been killed.
            agent.process.poll()
    finally:
        load.end()
    backend.mode = "well"
    agent.until("all is delivered", is_drained)
    health = agent.stop()
    keys = list(samples[0])
    lines = [",".join(keys)] + [",".join(str(one[key]) for key in keys) for one in samples]
    (work / "samples.csv").write_text("\n".join(lines) + "\n")
    lost = check_account(backend, health)
    ring = sum(one["lost_ring"] + one["rate_limited"] for one in health["losses"].values())
    cpu = health["usage"]["cpu_usage_us"] / 1e6
    print(f"   {minutes:g} minutes, {load.execs} execs in bursts, {sum(backend.kinds.values())} events at the backend, {dict(backend.kinds)}")
    print(f"   lost in the ring {ring}, dropped {lost}, came twice {backend.doubles}; {cpu:.1f} s of a processor")
    draw(samples, picture)
    verdict(samples)
    print("ok soak")


main()
