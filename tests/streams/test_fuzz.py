"""Fuzzing: it finds what it is for, repeats itself, and finds nothing in what reads our input."""

import os
import time
from array import array
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest

from streams.bench import fuzz
from streams.bench.fuzz import cases_of, run
from streams.bench.fuzz_targets import TARGETS, Target, clean_up
from streams.codec import HEADER_BYTES, CodecError, frame
from streams.partition import decode_last_list
from streams.recommendation import decode_recommendation
from streams.transitions import (
    ToldClick,
    TransitionBatch,
    decode_transitions,
    encode_transitions,
)


@pytest.mark.parametrize("name", TARGETS)
def test_examples_are_read_and_what_is_made_of_them_is_only_refused(name: str) -> None:
    target = TARGETS[name]
    assert any(target.read(example) for example in target.examples())
    figures = run(round(20 + 2000 * target.share), seed=5, targets=[name])
    assert figures.clean, figures.failures
    clean_up()


def test_the_same_seed_gives_the_same_cases_and_another_one_others() -> None:
    def some(seed: int, first: int = 0) -> list[bytes]:
        return list(islice(cases_of("click", seed, first, 100), 100))

    assert some(1) == some(1)
    assert some(1)[3:] != some(2)[3:]
    assert some(1, 100) != some(1)


def _crash(_data: bytes) -> bool:
    os.abort()


def _blow_up(_data: bytes) -> bool:
    return bool(bytearray(1 << 34))


def _hang(_data: bytes) -> bool:
    while True:
        time.sleep(0.01)


def _raise(data: bytes) -> bool:
    raise KeyError(data)


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (_crash, "the process ended with -6"),
        (_blow_up, "MemoryError"),
        (_hang, "CaseTimeoutError"),
        (_raise, "KeyError"),
    ],
)
def test_crash_hang_blow_up_and_other_errors_are_found(
    read: Callable[[bytes], bool], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TARGETS, "planted", Target(read, lambda: [b"a"], 1.0))
    monkeypatch.setattr(fuzz, "CASE_SECONDS", 1)
    monkeypatch.setattr(fuzz, "_FAILURES_KEPT", 1)
    figures = run(3, seed=1, targets=["planted"])
    assert not figures.clean
    assert words in figures.failures[0].error
    assert figures.failures[0].target == "planted"


def _batch(**changes: Any) -> bytes:
    befores = [[("i1", 1)], [("i2", 1)], [("i1", 2)]]
    batch = TransitionBatch.of(
        0,
        [
            ToldClick(number, 1_770_000_000_000, "i1", "click", owned=False, before=before)
            for number, before in enumerate(befores)
        ],
    )
    columns = {name: array("q", numbers) for name, numbers in changes.pop("columns", {}).items()}
    batch.columns = batch.columns._replace(**columns)
    for name, value in changes.items():
        setattr(batch, name, value)
    return encode_transitions(batch)


@pytest.mark.parametrize(
    "changes",
    [
        {"columns": {"rows": [0, 9, 2]}},
        {"columns": {"rows": [2, 0, 1]}},
        {"columns": {"distances": [1, -1, 1]}},
        {"columns": {"ends": [2, 4]}},
        {"columns": {"ends": [2, (1 << 63) - 1]}},
        {"columns": {"ends": [1, 2, 3]}},
        {"item_ids": ["i1", "\x00chain"]},
        {"columns": {"times_ms": [(1 << 63) - 1] * 3}},
        {"columns": {"times_ms": [-1] * 3}},
        {"columns": {"times_ms": [-(1 << 63), 0, (1 << 63) - 1]}},
        {"columns": {"offsets": [2, 1, 3]}},
        {"columns": {"offsets": [0, 1, (1 << 63) - 1]}},
        {"columns": {"offsets": [-1, 1, 2]}},
        {"source": -1},
        {"after_offset": -2},
    ],
)
def test_a_batch_of_transitions_that_could_not_be_folded_is_damaged(
    changes: dict[str, Any],
) -> None:
    decode_transitions(_batch())
    with pytest.raises(CodecError):
        decode_transitions(_batch(**changes))


def test_text_that_is_not_utf8_is_damage_like_any_other() -> None:
    blob = _batch()
    broken = frame(blob[0], blob[HEADER_BYTES:].replace(b"i1", b"\xff1"))
    with pytest.raises(CodecError):
        decode_transitions(broken)
    with pytest.raises(CodecError):
        decode_last_list(frame(1, b"\x93\xa1\xff\x00\x90"))
    with pytest.raises(ValueError, match="not JSON in UTF-8"):
        decode_recommendation(b'{"recommendation_id":"\xff"}')
