"""What a click and a list cost, as multiples of a yardstick: for the log of every test run.

    make guard
    make guard ARGS="--append 'what was changed'"

Clicks are folded and lists made by a worker's own core, without Kafka, in one thread; what counts
is that thread's processor time. A busy or slow machine makes everything slower alike, so each
figure is divided by that of a yardstick measured beside it: decoding a click from JSON. Ratios of
two machines, or of two days, still differ by a tenth or two.
`--append` adds a line to `benchmarks/history.jsonl`.
"""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import NamedTuple

import click
import msgspec

from model.artifact import DEMO_ARTIFACT
from model.scorer import EncoderScorer
from streams.core import Core, StreamRecord
from streams.kernels import COMPILED
from streams.lists import ListRequest, RecommenderConfig
from streams.pipeline import PipelineConfig
from streams.recommendation import ModelInfo, Trigger
from streams.recommender import Recommender
from streams.settings import Settings

HISTORY = Path(__file__).parent / "history.jsonl"
BATCHES = (1, 8, 64)
"""Users of a batch: a worker that keeps up, one that is busy, one that is behind."""

_FOLLOWERS = 60
_USUAL = 0.8
_CLICK_MS = 20
_YARDSTICK_CLICKS = 2_000
_TRIGGER = Trigger(None, "clicks", 0, 0, "")
_MODEL = ModelInfo("guard", "0")


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
    """A list without its encoder: candidates, inputs, blend, reasons."""
    encoder: dict[str, float]
    """The encoder's part of a list."""


class Walk:
    """Users who mostly go from an item to one of those that usually follow it."""

    def __init__(self, items: tuple[str, ...], users: int) -> None:
        self._chance = random.Random(7)
        self._items = items
        self._users = users
        self._follows = {item: self._chance.choices(items, k=_FOLLOWERS) for item in items}
        self._at: dict[str, str] = {}
        self._offset = 0
        self.now_ms = time.time_ns() // 1_000_000

    def clicks(self, count: int) -> list[StreamRecord]:
        """The next clicks, as records."""
        return [self._click() for _ in range(count)]

    def _click(self) -> StreamRecord:
        chance = self._chance
        user = f"user{chance.randrange(self._users):06d}"
        usual = self._follows.get(self._at.get(user, ""))
        item = chance.choice(usual if usual and chance.random() < _USUAL else self._items)
        self._at[user] = item
        self._offset += 1
        self.now_ms += _CLICK_MS
        value = {"user_id": user, "item_id": item, "timestamp": self.now_ms}
        return StreamRecord(self._offset, self.now_ms, user.encode(), msgspec.json.encode(value))


def measure(size: Size, change: str = "") -> Figures:
    """The figures of the code as it is."""
    scorer = EncoderScorer.load(DEMO_ARTIFACT, engine="cpu", threads=1)
    settings = Settings()
    core = Core(
        PipelineConfig(
            window=settings.window_config(),
            graph=settings.graph_config(),
            limits=settings.click_limits(),
            event_types=settings.event_type_registry(),
            partitions=1,
        )
    )
    walk = Walk(tuple(scorer.items), size.users)
    for _ in range(size.clicks_before // 500):
        core.fold(walk.clicks(500))
    config = RecommenderConfig.fitted(scorer.manifest.blend, scorer.manifest.repeat_policy)
    recommender = Recommender(core.replica, core.catalogue, config)
    figures = Figures(change, f"{datetime.now(UTC):%Y-%m-%d}", COMPILED, 0.0, {}, {}, {})
    yardsticks = []
    for users in BATCHES:
        rounds = [
            _round(core, recommender, scorer, walk, users)
            for _ in range(max(10, size.lists // users))
        ]
        yardstick = _yardstick(walk)
        yardsticks.append(yardstick)
        for part, took in zip(
            (figures.fold_click, figures.make_list, figures.encoder),
            zip(*rounds, strict=True),
            strict=True,
        ):
            part[str(users)] = round(median(took) / yardstick, 1)
    figures.yardstick_ns = round(median(yardsticks), 1)
    return figures


def _round(
    core: Core, recommender: Recommender, scorer: EncoderScorer, walk: Walk, users: int
) -> tuple[float, float, float]:
    """A batch of clicks and the lists that they cause: nanoseconds a click, a list, a list."""
    records = walk.clicks(users)
    fold = _cpu_ns(lambda: core.fold(records))
    changed = {record.key.decode(): None for record in records if record.key is not None}
    requests = [
        ListRequest(user, core.windows[user], _TRIGGER, 0, walk.now_ms, 0.0) for user in changed
    ]
    began = time.thread_time_ns()
    prepared = recommender.prepare(requests, scorer)
    ready = time.thread_time_ns()
    scores = scorer.run(prepared.batch)
    scored = time.thread_time_ns()
    recommender.finish(prepared, scores, degraded_reason=None, model=_MODEL)
    ended = time.thread_time_ns()
    lists = len(requests)
    return fold / users, (ready - began + ended - scored) / lists, (scored - ready) / lists


def _yardstick(walk: Walk) -> float:
    """Nanoseconds to decode a click from JSON; the median of nine times 2,000."""
    values = [record.value or b"" for record in walk.clicks(_YARDSTICK_CLICKS)]
    decode = msgspec.json.Decoder().decode
    took = [_cpu_ns(lambda: [decode(value) for value in values]) for _ in range(9)]
    return median(took) / len(values)


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
