"""What a run must not show, and how lost and doubled effects are counted."""

from typing import Any

import pytest

from streams.bench.faults.figures import FaultFigures
from streams.bench.faults.job import shortfalls
from streams.bench.faults.worker_job import miscounts
from streams.bench.oracle import Expected, Findings
from streams.click import Click
from streams.window import WindowConfig, encode_window, fold

GOOD: dict[str, Any] = {
    "job": "freshrec",
    "store": "memory",
    "seed": 1,
    "clicks": 9,
    "users": 1,
    "items": 1,
    "worker_kills": 1,
    "worker_stops": 0,
    "broker_kills": 0,
    "rebalances": 0,
    "lost": 0,
    "double": 0,
    "state_equal": True,
    "missing_lists": 0,
    "dead_letters_expected": 2,
    "dead_letters": 2,
    "dead_letters_equal": True,
    "mismatch_refused": None,
    "seconds": 1.0,
    "faults": {},
    "ends": {},
    "unclean_stops": 0,
}


def test_a_run_without_a_fault_in_the_outcome_kept_its_promises() -> None:
    assert FaultFigures(**GOOD).kept


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lost", 1),
        ("double", 1),
        ("state_equal", False),
        ("missing_lists", 1),
        ("dead_letters", 3),
        ("dead_letters_equal", False),
        ("mismatch_refused", False),
    ],
)
def test_any_broken_promise_is_one_too_many(name: str, value: object) -> None:
    assert not FaultFigures(**{**GOOD, name: value}).kept


def test_shortfalls_count_repeats() -> None:
    assert shortfalls(["a", "a", "b"], ["a", "c", "c"]) == (2, 2)
    assert shortfalls([], []) == (0, 0)


def window(offsets: list[int]) -> bytes:
    state = None
    for offset in offsets:
        click = Click("u", f"i{offset}", "click", 1_000 + offset)
        state, _, _ = fold(state, click, 0, offset, 1_000, WindowConfig())
    assert state is not None
    return encode_window(state)


def test_lost_and_doubled_clicks_are_counted_where_states_differ() -> None:
    findings = Findings(
        expected=Expected({}, {}, {}, {}, 0),
        windows_wanted={b"u": window([1, 2, 3]), b"v": window([4])},
        windows={b"u": window([1, 3]), b"w": window([5, 6])},
        items_wanted={},
        items={},
        lists={},
        letters=[],
    )
    assert miscounts(findings) == (2, 2)
