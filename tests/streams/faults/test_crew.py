"""The crew starts again who ends by itself, and does to disks and clocks what a fault asks for."""

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.bench.faults.crew import Crew, Member
from streams.worker_process import WorkerProcess

SLEEPS = "import time; time.sleep(600)"
WRITES_CLOCK = "import time; print(time.time(), flush=True); time.sleep(600)"
GROWS = """\
import time
while True:
    with open({path!r}, 'ab') as file:
        file.write(b'x' * 1000)
    time.sleep(0.001)
"""


def wait_until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Bench:
    """Makes members that run a piece of code."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.members: list[Member] = []

    def member(self, code: str) -> Member:
        log = self.directory / f"{len(self.members)}.log"
        process = WorkerProcess({}, log, code=code)
        self.members.append(Member(process, log, self.directory / "state"))
        return self.members[-1]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for member in made.members:
        if member.process.alive():
            member.kill()


def test_who_ends_by_itself_is_started_again_and_the_reason_is_counted(bench: Bench) -> None:
    member = bench.member(
        "import sys; print('x ERROR streams.app: the worker ends: 12 records', file=sys.stderr);"
        "sys.exit(1)"
    )
    crew = Crew([member], lambda reason: reason.replace("12", "N"))
    member.start()
    wait_until(lambda: not member.process.alive())

    def counted() -> bool:
        crew.revive()
        return bool(crew.ends)

    wait_until(counted)
    assert crew.ends == {"the worker ends: N records": 1}


def test_who_was_killed_or_stopped_stays_down(bench: Bench) -> None:
    killed, stopped = bench.member(SLEEPS), bench.member(SLEEPS)
    crew = Crew([killed, stopped], str)
    killed.start()
    stopped.start()
    assert killed.kill()
    assert not stopped.stop()  # SIGTERM ends a sleeping Python with -15
    time.sleep(0.6)
    crew.revive()
    assert not killed.process.alive()
    assert not stopped.process.alive()
    assert crew.ends == {}


def test_killing_a_dead_one_is_told(bench: Bench) -> None:
    member = bench.member(SLEEPS)
    assert not member.kill()
    member.start()
    assert member.kill()


def test_a_wrong_clock_lasts_until_the_next_start(bench: Bench) -> None:
    member = bench.member(WRITES_CLOCK)
    clocks = []
    for off in (-3600.0, 0.0):
        member.log.write_text("")
        member.start(off)
        wait_until(lambda: member.log.read_text().endswith("\n"))
        clocks.append(float(member.log.read_text()) - time.time())
        member.kill()
    assert clocks[0] == pytest.approx(-3600.0, abs=30)
    assert clocks[1] == pytest.approx(0.0, abs=30)


def test_a_full_disk_ends_who_goes_on_writing(bench: Bench, tmp_path: Path) -> None:
    member = bench.member(GROWS.format(path=str(tmp_path / "grows")))
    assert not member.fill_disk()
    member.start()
    wait_until(lambda: (tmp_path / "grows").exists())
    assert member.fill_disk()
    wait_until(lambda: not member.process.alive())
    assert "File too large" in member.log.read_text()


def test_corruption_changes_files_and_keeps_their_sizes(bench: Bench, tmp_path: Path) -> None:
    member = bench.member(SLEEPS)
    assert member.corrupt_state(random.Random(1)) == 0
    table = tmp_path / "state" / "windows" / "0"
    table.mkdir(parents=True)
    for number in range(9):
        (table / f"{number}.sst").write_bytes(b"\x00" * 500)
    assert member.corrupt_state(random.Random(1)) == 3
    contents = [path.read_bytes() for path in table.iterdir()]
    assert {len(content) for content in contents} == {500}
    assert sum(content != b"\x00" * 500 for content in contents) == 3


def test_a_wiped_disk_is_gone(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    bench.member(SLEEPS).wipe_state()
    assert not (tmp_path / "state").exists()
