"""The process that cleans up after a broker's owner, however the owner ends.

An owner that is killed with SIGKILL runs no clean-up of its own, and a JVM left behind would keep
its port and its memory. So the owner starts this script with a pipe as standard input and reports
what it made, one line each:

    pid N     process N was started        reaped N    process N has been waited for
    dir PATH  directory PATH was made

When the pipe closes, whether by `close()` or by the owner's death, the script kills the processes
that are left, removes the directories and ends. It runs as a plain script, on the standard library
only.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO


class Reaper:
    """The owner's end: report processes and directories; `close()` has what is left removed."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            text=True,
            # A terminal's Ctrl-C is for the owner; the reaper has to outlive it.
            start_new_session=True,
        )
        assert self._process.stdin is not None
        self._pipe = self._process.stdin

    @property
    def pid(self) -> int:
        """Process id of the reaper itself."""
        return self._process.pid

    def started(self, pid: int) -> None:
        """Have process `pid` killed if its owner ends before it."""
        self._report(f"pid {pid}")

    def reaped(self, pid: int) -> None:
        """Forget process `pid`: it has ended, and its number may be given to another process."""
        self._report(f"reaped {pid}")

    def made_directory(self, path: Path) -> None:
        """Have `path` and all in it removed at the end."""
        self._report(f"dir {path}")

    def close(self) -> None:
        """Have everything that is left killed and removed, and wait until that is done."""
        with contextlib.suppress(BrokenPipeError):
            self._pipe.close()
        self._process.wait()

    def _report(self, line: str) -> None:
        self._pipe.write(line + "\n")
        self._pipe.flush()


def clean_up_after(reports: IO[str]) -> None:
    """Read reports until their writer is gone, then kill and remove what they left standing."""
    pids: set[int] = set()
    directories: list[str] = []
    for line in reports:
        kind, _, rest = line.rstrip("\n").partition(" ")
        if kind == "pid":
            pids.add(int(rest))
        elif kind == "reaped":
            pids.discard(int(rest))
        elif kind == "dir":
            directories.append(rest)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    for directory in directories:
        # A process that was killed a moment ago may still add a file while the tree is removed.
        for _ in range(3):
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    clean_up_after(sys.stdin)
