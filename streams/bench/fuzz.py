"""Fuzzing: millions of nearly right inputs for everything that reads bytes from outside.

Every stretch of cases runs in a child process, so that a crash of native code, a case that does not
end and memory without bound are found and told, each with what reproduces it.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import msgspec
import xxhash

from streams.bench.fuzz_targets import TARGETS, clean_up
from streams.bench.mutation import mutate

STRETCH_SECONDS = 900.0
CASE_SECONDS = 20
MEMORY_BYTES = 4 << 30
"""Address space that a child may take beside what it starts with."""

_STRETCH_CASES = 200_000
_SHOWN_BYTES = 400
_FAILURES_KEPT = 5


class Failure(msgspec.Struct, frozen=True):
    """A defect. `case` is the input in hexadecimal, cut, where it is known."""

    target: str
    seed: int
    first_case: int
    error: str
    case: str = ""


class Stretch(msgspec.Struct, frozen=True):
    """What a child tells of its cases."""

    cases: int
    accepted: int
    seconds: float
    peak_rss_bytes: int
    failures: list[Failure]


class TargetFigures(msgspec.Struct):
    """Of one target."""

    cases: int = 0
    accepted: int = 0
    seconds: float = 0.0
    cases_per_second: float = 0.0


class FuzzFigures(msgspec.Struct):
    """Of a whole run; `clean` is that nothing failed."""

    clean: bool
    cases: int
    seed: int
    seconds: float
    cases_per_second: float
    peak_rss_bytes: int
    targets: dict[str, TargetFigures]
    failures: list[Failure]


class CaseTimeoutError(Exception):
    """A case that did not end."""


def run(
    cases: int,
    seed: int,
    *,
    targets: list[str] | None = None,
    progress: Callable[[str, int], None] = lambda _target, _cases: None,
) -> FuzzFigures:
    """Run so many cases, spread over the targets by their shares. KeyError: no such target."""
    chosen = {name: TARGETS[name] for name in targets or TARGETS}
    whole = sum(target.share for target in chosen.values())
    started = time.monotonic()
    figures = FuzzFigures(True, 0, seed, 0.0, 0.0, 0, {}, [])
    for name, target in chosen.items():
        of_target = figures.targets[name] = TargetFigures()
        for first, count in _stretches(max(1, round(cases * target.share / whole))):
            stretch = _in_child(name, seed, first, count)
            of_target.cases += stretch.cases
            of_target.accepted += stretch.accepted
            of_target.seconds += stretch.seconds
            figures.peak_rss_bytes = max(figures.peak_rss_bytes, stretch.peak_rss_bytes)
            figures.failures += stretch.failures
            progress(name, of_target.cases)
        of_target.cases_per_second = round(of_target.cases / max(of_target.seconds, 1e-9), 1)
        of_target.seconds = round(of_target.seconds, 3)
        figures.cases += of_target.cases
    figures.clean = not figures.failures
    figures.seconds = round(time.monotonic() - started, 3)
    figures.cases_per_second = round(figures.cases / max(figures.seconds, 1e-9), 1)
    return figures


def cases_of(target: str, seed: int, first: int, count: int) -> Iterator[bytes]:
    """The inputs from number `first` on; the first stretch begins with the examples themselves."""
    corpus = TARGETS[target].examples()
    # Not `hash`: it differs between processes.
    random = Random(xxhash.xxh64_intdigest(f"{target}/{seed}/{first}".encode()))
    for number in range(count):
        if first == 0 and number < len(corpus):
            yield corpus[number]
        else:
            yield mutate(corpus[int(random.random() * len(corpus))], random, corpus)


def _stretches(cases: int) -> Iterator[tuple[int, int]]:
    for first in range(0, cases, _STRETCH_CASES):
        yield first, min(_STRETCH_CASES, cases - first)


def _in_child(target: str, seed: int, first: int, count: int) -> Stretch:
    """One stretch in a process of its own; a child that is lost is a failure."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_stretch, args=(there, target, seed, first, count))
    started = time.monotonic()
    child.start()
    there.close()
    told: Stretch | None = None
    try:
        if here.poll(STRETCH_SECONDS):
            told = here.recv()
    except EOFError:
        pass
    finally:
        if told is None and child.is_alive():
            child.kill()
        child.join()
        here.close()
    if told is not None:
        return told
    error = f"the process ended with {child.exitcode}: a crash, or {STRETCH_SECONDS:g} s passed"
    lost = Failure(target, seed, first, error)
    return Stretch(0, 0, time.monotonic() - started, 0, [lost])


def _stretch(there: Connection, target: str, seed: int, first: int, count: int) -> None:
    _bound_memory()
    signal.signal(signal.SIGALRM, _on_alarm)
    read = TARGETS[target].read
    accepted = done = 0
    failures: list[Failure] = []
    started = time.monotonic()
    for case in cases_of(target, seed, first, count):
        signal.alarm(CASE_SECONDS)
        done += 1
        try:
            accepted += read(case)
        except BaseException as error:  # noqa: BLE001 (whatever it is, it is what is looked for)
            words = f"{type(error).__name__}: {error}"[:300]
            failures.append(Failure(target, seed, first, words, case[:_SHOWN_BYTES].hex()))
            if len(failures) >= _FAILURES_KEPT:
                break
    signal.alarm(0)
    clean_up()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    there.send(Stretch(done, accepted, time.monotonic() - started, peak, failures))
    there.close()
    os._exit(0)


def _on_alarm(_number: int, _frame: FrameType | None) -> Any:
    raise CaseTimeoutError(f"not read within {CASE_SECONDS} s")


def _bound_memory() -> None:
    statm = Path("/proc/self/statm")
    pages = int(statm.read_text().split()[0]) if statm.exists() else 0
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
