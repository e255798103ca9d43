"""Crew: the workers of a run, and what a process manager does for them.

A worker that ends by itself is started again, as systemd or Kubernetes would, and the reason it
gave is counted.
"""

import random
import re
import resource
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from streams.worker_process import WorkerProcess

_RESTART_SECONDS = 0.5
_DISK_LEFT_BYTES = 16 * 1024
_DAMAGED_BYTES = 64
_REASON_CHARACTERS = 160
_REASON = re.compile(r"(?:the worker ends: |ERROR streams\.app: )(.+)")
_WRONG_CLOCK = """\
import time
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + {seconds}
time.time_ns = lambda: _time_ns() + {nanoseconds}
"""


class Member:
    """One worker: its process, its disk, and whether it is meant to run."""

    def __init__(self, process: WorkerProcess, log: Path, state_dir: Path) -> None:
        self.process = process
        self.log = log
        self.state_dir = state_dir
        self.wanted = False
        self._code = process.code
        self._died_at: float | None = None

    def start(self, clock_off_seconds: float = 0.0) -> None:
        """Start it, unless it runs; its clock may go wrong by so much."""
        self.wanted = True
        self._died_at = None
        if self.process.alive():
            return
        self.process.code = self._code
        if clock_off_seconds:
            self.process.code = (
                _WRONG_CLOCK.format(
                    seconds=clock_off_seconds, nanoseconds=int(clock_off_seconds * 1e9)
                )
                + self._code
            )
        self.process.start()

    def kill(self) -> bool:
        """Kill -9; False where it was dead already."""
        self.wanted = False
        alive = self.process.alive()
        if alive:
            self.process.kill()
        return alive

    def stop(self) -> bool:
        """SIGTERM, and wait; False where it was dead already or did not end in order."""
        self.wanted = False
        if not self.process.alive():
            return False
        return self.process.stop() == 0

    def fill_disk(self) -> bool:
        """No file of the process may grow much any more, as on a disk that is nearly full.

        False where there is no process.
        """
        if not self.process.alive():
            return False
        longest = self.log.stat().st_size + _DISK_LEFT_BYTES
        _, hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (longest, hard))
        return True

    def corrupt_state(self, chance: random.Random) -> int:
        """Overwrite the middle of every third file of its tables; returns how many."""
        files = sorted(p for p in self.state_dir.rglob("*") if p.is_file() and p.stat().st_size)
        files = [p for p in files if p.name != "LOCK"]
        damaged = chance.sample(files, len(files) // 3)
        for path in damaged:
            with path.open("r+b") as file:
                file.seek(path.stat().st_size // 2)
                file.write(chance.randbytes(_DAMAGED_BYTES))
        return len(damaged)

    def wipe_state(self) -> None:
        """Its disk is lost."""
        shutil.rmtree(self.state_dir, ignore_errors=True)

    def ended_by_itself(self, now: float) -> bool:
        """Whether it is dead without being meant to, for long enough to be started again."""
        if not self.wanted or self.process.alive():
            return False
        if self._died_at is None:
            self._died_at = now
        return now - self._died_at >= _RESTART_SECONDS

    def reason(self) -> str:
        """The last reason for an end that its log gives."""
        found = _REASON.findall(self.process.log_tail(200))
        return found[-1][:_REASON_CHARACTERS] if found else "no reason in its log"


class Crew:
    """All workers of a run."""

    def __init__(self, members: list[Member], generalise: Callable[[str], str]) -> None:
        """`generalise`: the reason of an end without what differs from one to the next."""
        self.members = members
        self.ends: Counter[str] = Counter()
        """How often a worker ended by itself, by the reason that it gave."""
        self._generalise = generalise

    def __getitem__(self, number: int) -> Member:
        return self.members[number]

    def revive(self) -> None:
        """Start who ended without being meant to."""
        now = time.monotonic()
        for member in self.members:
            if member.ended_by_itself(now):
                self.ends[self._generalise(member.reason())] += 1
                member.start()

    def stop(self) -> list[int]:
        """Stop all in order; returns who did not."""
        return [n for n, member in enumerate(self.members) if member.wanted and not member.stop()]

    def kill(self) -> None:
        """Leave none running."""
        for member in self.members:
            member.kill()

    def logs(self) -> str:
        """The ends of all logs, for an error message."""
        return "\n".join(
            f"-- worker {number}\n{member.process.log_tail()}"
            for number, member in enumerate(self.members)
        )
