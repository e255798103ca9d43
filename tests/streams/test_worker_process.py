"""A worker as a child: it ends with its owner, and in time."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streams.worker_process import WorkerProcess

SLEEPS = "import time; print('up', flush=True); time.sleep(600)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPS}"


def wait_for(condition, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_up(process: WorkerProcess) -> bool:
    return "up" in process.log_tail()


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_process_that_ends_by_itself_is_told_from_one_that_runs(tmp_path: Path) -> None:
    with WorkerProcess({}, tmp_path / "log", code="raise SystemExit(3)") as process:
        wait_for(lambda: not process.alive())
        assert process.stop() == 3


def test_one_that_does_not_listen_to_sigterm_is_killed(tmp_path: Path) -> None:
    process = WorkerProcess({}, tmp_path / "log", code=DEAF)
    process.start()
    wait_for(lambda: is_up(process))
    assert process.stop(timeout_seconds=0.2) == -signal.SIGKILL
    assert not process.alive()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_a_worker_does_not_outlive_an_owner_that_is_killed(tmp_path: Path) -> None:
    owner_code = (
        "from pathlib import Path\n"
        "from streams.worker_process import WorkerProcess\n"
        "import time\n"
        f"process = WorkerProcess({{}}, Path({str(tmp_path / 'log')!r}), code={SLEEPS!r})\n"
        "process.start()\n"
        "print(process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", owner_code], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    assert runs(pid)
    owner.kill()
    owner.wait()
    owner.stdout.close()
    wait_for(lambda: not runs(pid))
