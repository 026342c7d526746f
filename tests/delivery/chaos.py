"""Everything at once, and for long: storms of execs, a backend that fails in each way, an agent that is killed, a full disk.

    tests/delivery/chaos.py DIRECTORY EXECS KILLS

What was caused is known from outside: each exec of a storm has a token of its own. In the end each token is at the
backend, or is explained:

- by the account of the records (lost in the ring, left out) or of the sink (dropped for a full disk), by its number;
- by a kill under load: what the agent had in its hands, and what was executed until its successor watched. No account of
  the killed one can have that, so it is held against the storm: for each worker it must be one piece, with nothing missing
  before or after.

Two of three kills come when all is in the spool and nothing is delivered yet: those cost nothing.
"""

import collections
import os
import pathlib
import random
import subprocess
import sys
import time

from agent import Agent, account, check_account, is_drained
from backend import MODES, Backend
from disk import DISK_MIB, Disk

BENCH = pathlib.Path(os.environ["LINNET_BIN_DIR"]) / "linnet-bench"
WORKERS = 2
# Each round fails in one of these ways; `well` lets the spool drain in between.
WAYS = [mode for mode in MODES if mode != "well"] + ["mixed"]
# Execs of a storm that is still there when the agent is killed.
LONG = 10_000


class Storm:
    def __init__(self, execs, directory):
        self.name = f"storm{random.getrandbits(40):010x}"
        self.execs = execs
        command = [BENCH, "storm", "--workers", str(WORKERS), "--execs", str(execs), "--token", self.name, "--dir", directory]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def of(self, worker):
        """Its tokens, in order."""
        share = self.execs // WORKERS + (worker < self.execs % WORKERS)
        return [f"{self.name}.{worker}.{index}." for index in range(share)]

    def tokens(self):
        return [token for worker in range(WORKERS) for token in self.of(worker)]

    def last(self):
        return [self.of(worker)[-1] for worker in range(WORKERS)]

    def end(self):
        assert self.process.wait() == 0, "the storm failed"


class Chaos:
    def __init__(self, work):
        self.disk = Disk(work / "disk")
        self.work = work
        self.backend = Backend()
        self.agent = Agent(
            "agent",
            self.backend,
            spool={"directory": str(work / "disk" / "spool"), "max_bytes": 128 << 20},
            limits={"cpu_permille": 2000, "memory_max_bytes": (128 + DISK_MIB * self.disk.is_memory) << 20},
            ring={"bytes": 64 << 20},
            events={"fork": True},
        )
        self.storms, self.killed_under = [], []
        # What the agents that are gone had in their accounts.
        self.counted = collections.Counter()
        self.kills = self.fulls = 0

    def start(self):
        self.agent.start()

    def storm(self, execs):
        storm = Storm(execs, self.work)
        self.storms.append(storm)
        return storm

    def losses(self, health):
        """What the running agent has counted of its execs as not told."""
        one = health["losses"]["exec"]
        # What is dropped behind that is in the sink's account, which goes on over restarts.
        lost = {"lost_ring": one["lost_ring"], "rate_limited": one["rate_limited"], "decode_errors": one["decode_errors"]}
        return lost | {f"shed for {why}": count for why, count in one["shed"].items()}

    def kill(self, is_settled):
        if is_settled:
            for kind, count in self.losses(self.agent.health()).items():
                self.counted[kind] += count
        self.agent.kill()
        self.kills += 1
        self.start()

    def settle(self, storm):
        """Waits until the agent has nothing of it in its hands: all of it is in the spool, or counted."""
        storm.end()
        began = self.agent.health()["updated_at"]
        # The first document may be of before the end; two later ones in which nothing waits are not.
        for _ in range(3):
            health = self.agent.until("a later document", lambda health: health["updated_at"] > began)
            began = health["updated_at"]
        return self.agent.until(
            "nothing waits", lambda health: all(one["waiting"] == 0 for one in health["losses"].values())
        )

    def round(self, number, execs, kills_under_load):
        self.backend.mode = WAYS[number % len(WAYS)]
        storm = self.storm(max(execs, LONG) if kills_under_load else execs)
        if kills_under_load:
            time.sleep(0.2 + random.random() / 2)
            self.killed_under.append(storm)
            self.kill(False)
            self.settle(storm)
        else:
            self.settle(storm)
            self.kill(True)
        self.backend.mode = "well"
        self.agent.until("the spool has room", lambda health: waiting(health) < 20_000)

    def full_disk(self, execs):
        """Nothing can be appended for a while, and everything is counted."""
        self.backend.mode = "error"
        before = dropped(self.agent.health())
        self.settle(self.storm(execs // 4))
        self.disk.fill()
        self.fulls += 1
        self.settle(self.storm(execs))
        self.disk.empty()
        self.settle(self.storm(execs // 4))
        self.backend.mode = "well"
        health = self.agent.until("the spool is empty", is_drained)
        assert dropped(health) > before, "the disk was full, and nothing was dropped"

    def check(self):
        health = self.agent.until("all is delivered", is_drained)
        health = self.agent.stop()
        for kind, count in self.losses(health).items():
            self.counted[kind] += count
        lost = check_account(self.backend, health, lost_allowed=True)
        reasons = collections.Counter()
        for one in account(health).values():
            reasons.update(one["dropped"])
        assert set(reasons) <= {"disk_full"}, reasons
        quiet, gaps = 0, []
        for storm in self.storms:
            gone = set(self.backend.missing(storm.tokens()))
            if storm not in self.killed_under:
                quiet += len(gone)
            elif gone:
                gaps.append(self.gap(storm, gone))
        counted = sum(self.counted.values()) + account(health)["exec"]["dropped"].get("disk_full", 0)
        print(f"   {sum(storm.execs for storm in self.storms)} execs in {len(self.storms)} storms, {self.kills} kills, {self.fulls} times a full disk,")
        print(f"   {sum(self.backend.kinds.values())} events at the backend {dict(self.backend.kinds)},")
        print(f"   {self.backend.doubles} came twice; answers {dict(sorted(self.backend.requests.items()))};")
        print(f"   {quiet} execs missing of {counted} counted {dict(self.counted)}; all kinds dropped: {lost} {dict(reasons)};")
        print(f"   {len(gaps)} of {len(self.killed_under)} kills under load left a gap, of {gaps} execs")
        # What others executed is in the account, too, and not among the tokens: at most as much again as of theirs arrived.
        others = self.backend.kinds["exec"] - len(self.backend.tokens)
        assert quiet <= counted <= quiet + others, f"{quiet} execs are missing, {counted} are counted, {others} of others came"

    def gap(self, storm, gone):
        """What a kill under load cost: in one piece for each worker."""
        for worker in range(WORKERS):
            tokens = storm.of(worker)
            holes = [index for index, token in enumerate(tokens) if token in gone]
            if not holes:
                continue
            told_within = holes[-1] - holes[0] + 1 - len(holes)
            # Execs that wait for a hash leave later than others.
            assert told_within <= 20 + len(holes) // 20, f"{storm.name}: {len(holes)} gone, {told_within} told in between"
        return len(gone)


def waiting(health):
    return sum(one["waiting"] for one in account(health).values())


def dropped(health):
    return sum(sum(one["dropped"].values()) for one in account(health).values())


def main():
    work, execs, kills = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    chaos = Chaos(work)
    # The two rounds with a full disk are one and a half of the others each.
    share = execs // (kills + 3)
    try:
        chaos.start()
        for number in range(kills):
            chaos.round(number, share, number % 3 == 2)
            if number in (kills // 3, 2 * kills // 3):
                chaos.full_disk(share)
        chaos.check()
    finally:
        if chaos.agent.process and chaos.agent.process.poll() is None:
            chaos.agent.kill()
        chaos.disk.close()


main()
