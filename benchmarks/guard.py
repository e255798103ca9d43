"""What a click and a list cost, as multiples of a yardstick: for the log of every test run.

    make guard
    make guard ARGS="--append 'what was changed'"

Clicks are folded and lists made by a worker's own core, without Kafka, in one thread; what counts
is that thread's processor time. A busy or slow machine makes everything slower alike, so each
figure is divided by that of a yardstick measured beside it: decoding a click from JSON. Ratios of
two machines, or of two days, still differ by a tenth or two.
`--append` adds a line to `benchmarks/history.jsonl`.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from statistics import median
from typing import NamedTuple

import click
import msgspec

from model.artifact import DEMO_ARTIFACT
from model.scorer import EncoderScorer
from streams.bench.list_cost import make_lists
from streams.columns import LoggedClick
from streams.core import Core, StreamRecord
from streams.kernels import COMPILED
from streams.lists import RecommenderConfig
from streams.recommender import Recommender
from streams.settings import Settings
from streams.simulate import Simulation, SimulationConfig

HISTORY = Path(__file__).parent / "history.jsonl"
BATCHES = (1, 8, 64)
"""Users of a batch: a worker that keeps up, one that is busy, one that is behind."""

_RATE = 50.0
_YARDSTICK_CLICKS = 100
_decode = msgspec.json.Decoder().decode


class Size(NamedTuple):
    """How much is measured."""

    users: int = 1_000
    clicks_before: int = 60_000
    lists: int = 3_000
    """For each size of a batch."""


class Figures(msgspec.Struct):
    """Medians over the batches, in the cost of decoding one click from JSON."""

    change: str
    measured_at: str
    compiled: bool
    yardstick_ns: float
    """What that cost here; it tells of the machine and the hour, and nothing of the change."""
    fold_click: dict[str, float]
    """A click into windows and graph, by users of a batch."""
    make_list: dict[str, float]
    """A list without its encoder: candidates, inputs, blend, reasons; its JSON since 2026-11-28."""
    encoder: dict[str, float]
    """The encoder's part of a list."""


class Clicks:
    """Simulated clicks on the encoder's items, as records."""

    def __init__(self, items: Sequence[str], users: int) -> None:
        config = SimulationConfig(users=users, items=len(items), clicks_per_second=_RATE)
        self._clicks = Simulation(config, 7, time.time_ns() // 1_000_000).clicks()
        self._items = items
        self.now_ms = 0

    def take(self, count: int) -> list[StreamRecord]:
        """The next ones."""
        return [self._record(click) for click in islice(self._clicks, count)]

    def _record(self, click: LoggedClick) -> StreamRecord:
        self.now_ms = click.timestamp_ms
        value = {
            "user_id": click.user_id,
            "item_id": self._items[int(click.item_id[1:])],
            "timestamp": click.timestamp_ms,
            "event_type": click.event_type,
        }
        key = click.user_id.encode()
        return StreamRecord(click.row, self.now_ms, key, msgspec.json.encode(value))


def measure(size: Size, change: str = "") -> Figures:
    """The figures of the code as it is."""
    scorer = EncoderScorer.load(DEMO_ARTIFACT, engine="cpu", threads=1)
    core = Core(Settings().pipeline_config(1))
    clicks = Clicks(scorer.items, size.users)
    for _ in range(size.clicks_before // 500):
        core.fold(clicks.take(500))
    config = RecommenderConfig.fitted(scorer.manifest.blend, scorer.manifest.repeat_policy)
    recommender = Recommender(core.replica, core.catalogue, config)
    figures = Figures(change, f"{datetime.now(UTC):%Y-%m-%d}", COMPILED, 0.0, {}, {}, {})
    yardsticks = []
    for users in BATCHES:
        rounds = [
            _round(core, recommender, scorer, clicks, users)
            for _ in range(max(10, size.lists // users))
        ]
        yardstick, *costs = map(median, zip(*rounds, strict=True))
        yardsticks.append(yardstick)
        parts = (figures.fold_click, figures.make_list, figures.encoder)
        for part, cost in zip(parts, costs, strict=True):
            part[str(users)] = round(cost / yardstick, 1)
    figures.yardstick_ns = round(median(yardsticks), 1)
    return figures


def _round(
    core: Core, recommender: Recommender, scorer: EncoderScorer, clicks: Clicks, users: int
) -> tuple[float, float, float, float]:
    """Nanoseconds of the yardstick, and for a batch of clicks and the lists that they cause: of a
    click's fold, of a list, of its encoder.
    """
    records = clicks.take(users)
    values = [record.value or b"" for record in clicks.take(_YARDSTICK_CLICKS)]
    yardstick = _cpu_ns(lambda: [_decode(value) for value in values])
    fold = _cpu_ns(lambda: core.fold(records))
    cost = make_lists(recommender, scorer, records, core.windows.__getitem__, clicks.now_ms)
    return (
        yardstick / len(values),
        fold / users,
        cost.ranking_seconds * 1e9 / cost.lists,
        cost.encoder_seconds * 1e9 / cost.lists,
    )


def _cpu_ns(work: Callable[[], object]) -> int:
    began = time.thread_time_ns()
    work()
    return time.thread_time_ns() - began


def read_history() -> list[Figures]:
    """The figures of all changes, the oldest first."""
    if not HISTORY.exists():
        return []
    decode = msgspec.json.Decoder(Figures).decode
    return [decode(line) for line in HISTORY.read_bytes().splitlines()]


def table(now: Figures, before: Figures | None) -> str:
    """The figures for people, beside the last ones of the history."""
    lines = [f"{'users of a batch':<24}" + "".join(f"{users:>16}" for users in BATCHES)]
    for name, part in (
        ("a click folded", "fold_click"),
        ("a list made", "make_list"),
        ("its encoder", "encoder"),
    ):
        cells = []
        for users in map(str, BATCHES):
            then = None if before is None else getattr(before, part).get(users)
            told = f"{getattr(now, part)[users]:.0f}"
            cells.append(told if then is None else f"{told} (was {then:.0f})")
        lines.append(f"{name:<24}" + "".join(f"{cell:>16}" for cell in cells))
    lines.append(f"in decodings of a click from JSON, {now.yardstick_ns:.0f} ns each here")
    return "\n".join(lines)


@click.command()
@click.option("--append", "change", metavar="CHANGE", help="Add a line to the history.")
@click.option("--short", is_flag=True, help="A smoke test: the figures say little.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(change: str | None, *, short: bool, as_json: bool) -> None:
    """What a click and a list cost, as multiples of decoding a click."""
    size = Size(users=50, clicks_before=1_000, lists=20) if short else Size()
    history = read_history()
    now = measure(size, change or "")
    if change:
        with HISTORY.open("ab") as file:
            file.write(msgspec.json.encode(now) + b"\n")
    if as_json:
        click.echo(msgspec.json.encode(now))
    else:
        click.echo(table(now, history[-1] if history else None))


if __name__ == "__main__":
    main()
