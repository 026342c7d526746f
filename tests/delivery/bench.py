"""What it costs to deliver: events a second, processor time, bytes, memory, and how fast a full spool drains.

    tests/delivery/bench.py DIRECTORY          prints a Markdown table

Needs an agent that was built with the feature `replay` (`make bench-delivery`): the records of a real storm are kept once and taken
many times over, so that what is measured is everything behind the kernel's ring and not how fast this machine forks. The
backend is nginx, which answers each request and keeps nothing. Events of what the machine does besides are in the numbers.
"""

import collections
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import time

import agent as agents
from agent import Agent, account

BENCH = pathlib.Path(os.environ["LINNET_BIN_DIR"]) / "linnet-bench"
RECORDED_EXECS = 10_000
SPOOL_BYTES = 1 << 30
NO_CPU_LIMIT = {"cpu_permille": 1_000_000}


class Nginx:
    """Takes everything, at once or not at all."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir()
        self.port = random.randrange(20_000, 40_000)
        self.url = f"http://127.0.0.1:{self.port}/in"
        self.process = None
        paths = " ".join(f"{kind}_temp_path {directory}/{kind};" for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
        (directory / "nginx.conf").write_text(
            f"daemon off; worker_processes 1; pid {directory}/pid; error_log {directory}/error.log; user root;"
            f"events {{ worker_connections 64; }} http {{ access_log off; {paths} keepalive_requests 1000000;"
            f" server {{ listen 127.0.0.1:{self.port}; client_max_body_size 64m; location / {{ return 204; }} }} }}"
        )

    def start(self):
        command = ["nginx", "-e", self.directory / "error.log", "-p", self.directory, "-c", self.directory / "nginx.conf"]
        self.process = subprocess.Popen(command)
        end = time.monotonic() + 10
        while not (self.directory / "pid").exists():
            assert time.monotonic() < end and self.process.poll() is None, "nginx does not start"
            time.sleep(0.05)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None


def replayed(agent):
    """Records, and the microseconds that they took, once they are through."""
    found = re.search(r"replayed (\d+) records in (\d+) us", (agent.directory / "log").read_text())
    return found and (int(found[1]), int(found[2]))


def usage(health):
    return health["usage"]


def charged(health):
    """What the kernel can't take back, and all of it: most of the difference is page cache of the output and the spool."""
    held, whole = (usage(health)[key] / (1 << 20) for key in ("memory_held_bytes", "memory_bytes"))
    return f"{held:.1f} MiB ({whole:.1f} with page cache)"


def storm(work, execs, name):
    command = [BENCH, "storm", "--workers", "2", "--execs", str(execs), "--token", name, "--dir", work]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["outcome"]


def file_of(directory):
    return {"file": {"path": str(directory / "events.ndjson"), "max_bytes": 256 << 20, "keep": 1}}


def record(work):
    """The records of a storm, on disk."""
    path = work / "records"
    agent = Agent("record", None, sinks={}, output=file_of(work / "record"), events={"fork": True})
    agent.launch(LINNET_RECORD=str(path))
    agent.until("it watches", lambda health: health["canary"]["seen"] > 0)
    storm(work, RECORDED_EXECS, "stormrecord")
    time.sleep(2)
    agent.stop()
    return path


def through(directory, records, passes, backend, **settings):
    """Replays, and tells records, seconds, and the most that was charged and not page cache."""
    agent = Agent(directory, backend, limits=NO_CPU_LIMIT, events={"fork": True}, **settings)
    agent.launch(LINNET_REPLAY=str(records), LINNET_REPLAY_PASSES=str(passes))
    most = 0
    while not (done := replayed(agent)):
        assert agent.process.poll() is None, "the agent ended"
        health = agent.health()
        most = max(most, usage(health)["memory_held_bytes"]) if health else most
        time.sleep(0.1)
    return agent, done[0], done[1] / 1e6, most


def events_of(health):
    return sum(one["delivered"] for one in health["losses"].values())


def lost_of(health):
    """How many, and why."""
    reasons = collections.Counter()
    for one in health["losses"].values():
        reasons.update({"ring": one["lost_ring"], "rate_limited": one["rate_limited"]})
        reasons.update(one["dropped"])
        reasons.update({f"shed for {cause}": count for cause, count in one["shed"].items()})
    named = ", ".join(f"{reason} {count:,}" for reason, count in reasons.items() if count)
    return f"{reasons.total():,} ({named})" if named else "0"


def to_file(work, records):
    agent, count, seconds, most = through("file", records, 30, None, sinks={}, output=file_of(work / "file"))
    health = agent.stop()
    cpu = usage(health)["cpu_usage_us"] / 1e6
    events = events_of(health)
    yield "to file, replayed: events a second", f"{events / seconds:,.0f} ({events:,} of {count:,} records in {seconds:.1f} s, lost {lost_of(health)})"
    yield "to file, replayed: processor time of 10,000 events", f"{cpu / events * 1e4 * 1e3:.0f} ms"
    yield "to file, replayed: charged to the cgroup at most, without page cache", f"{most / (1 << 20):.1f} MiB"


def to_http(work, records, nginx):
    nginx.start()
    began = time.monotonic()
    agent, _, _, most = through("http", records, 30, nginx, spool_bytes=2 * SPOOL_BYTES)
    health = agent.until("all is delivered", agents.is_drained)
    seconds = time.monotonic() - began
    sink = health["network_sinks"][0]
    events = sum(one["delivered"] for one in account(health).values())
    dropped = sum(sum(one["dropped"].values()) for one in account(health).values())
    health = agent.stop()
    nginx.stop()
    cpu = usage(health)["cpu_usage_us"] / 1e6
    yield "to HTTP, replayed: events a second", f"{events / seconds:,.0f} ({events:,} in {seconds:.1f} s with start and drain, dropped {dropped})"
    yield "to HTTP, replayed: processor time of 10,000 events", f"{cpu / events * 1e4 * 1e3:.0f} ms, gzip and spool included"
    yield "to HTTP: bytes on the wire of an event", f"{sink['sent_bytes'] / events:.0f}"
    yield "to HTTP, replayed: charged to the cgroup at most, without page cache", f"{most / (1 << 20):.1f} MiB"


def live(work, nginx):
    """Real execs, with the defaults and the processor limit lifted; then the same with a backend that is away; then rest."""
    nginx.start()
    agent = Agent("live", nginx, limits=NO_CPU_LIMIT, output=file_of(work / "live"), health={"interval_s": 1})
    agent.start()
    before = agent.health()
    time.sleep(30)
    after = agent.health()
    cpu = (usage(after)["cpu_usage_us"] - usage(before)["cpu_usage_us"]) / 30e6
    resident = lambda: int(re.search(r"VmRSS:\s+(\d+)", (pathlib.Path("/proc") / str(agent.process.pid) / "status").read_text())[1]) / 1024
    yield "at rest: charged to the cgroup, resident", f"{charged(after)}, {resident():.1f} MiB"
    yield "at rest: of a core", f"{cpu * 100:.2f} %"
    done = storm(work, 100_000, "stormlive")
    health = agent.until("all is delivered", agents.is_drained)
    seconds = done["elapsed_ns"] / 1e9
    yield "live storm, to file and HTTP: events a second", f"{200_000 / seconds:,.0f} ({100_000 / seconds:,.0f} execs a second is what two workers make here), lost {lost_of(health)}"
    yield "live storm: charged, resident", f"{charged(health)}, {resident():.1f} MiB"
    nginx.stop()
    storm(work, 100_000, "stormdown")
    time.sleep(5)
    health = agent.health()
    yield "backend down, 200,000 events later: charged, resident", f"{charged(health)}, {resident():.1f} MiB"
    yield "backend down: lost", f"{lost_of(health)}"
    nginx.start()
    agent.until("all is delivered", agents.is_drained)
    agent.stop()
    nginx.stop()


def drain(work, records, nginx):
    spool = {"directory": str(work / "drain-spool"), "max_bytes": 2 * SPOOL_BYTES}
    agent, *_ = through("drain", records, 70, nginx, spool=spool)
    health = agent.until("it is told", lambda health: health["spool"]["bytes"] > 0)
    waiting, held = sum(one["waiting"] for one in account(health).values()), health["spool"]["bytes"]
    nginx.start()
    began = time.monotonic()
    agents.PATIENCE = 900
    agent.until("all is delivered", agents.is_drained)
    seconds = time.monotonic() - began
    agent.stop()
    nginx.stop()
    yield "drain of a spool", f"{held / (1 << 30):.2f} GiB, {waiting:,} events in {seconds:.0f} s ({held / seconds / (1 << 20):.0f} MiB/s, {waiting / seconds:,.0f} events a second)"


def main():
    work = pathlib.Path(sys.argv[1])
    agents.AGENT = pathlib.Path(os.environ["LINNET_REPLAY_AGENT"])
    nginx = Nginx(work / "nginx")
    rows = []
    try:
        records = record(work)
        rows += live(work, nginx)
        rows += to_file(work, records)
        rows += to_http(work, records, nginx)
        rows += drain(work, records, nginx)
    finally:
        nginx.stop()
        # Of what went wrong nothing stays behind.
        for child in pathlib.Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
        print("| what | measured |\n| --- | --- |")
        for what, measured in rows:
            print(f"| {what} | {measured} |")


main()
