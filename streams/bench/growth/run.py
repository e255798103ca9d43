"""`freshrec bench growth`: curves along users, items, window and partitions.

Users, items and window are measured without Kafka, a point in a few seconds to two minutes, each in
a process of its own: memory is then the point's, and not what the point before left behind.
Partitions are those of one worker on a real Kafka, windows and graph alone.
"""

import multiprocessing
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from streams.bench import state
from streams.bench.growth.point import PointFigures, PointPlan, measure
from streams.bench.state import StateBench
from streams.bench.workload import Workload

Axis = Literal["users", "items", "window", "partitions"]
AXES: tuple[Axis, ...] = ("users", "items", "window", "partitions")


class PartitionFigures(msgspec.Struct):
    """What one worker did with so many partitions of every topic."""

    partitions: int
    clicks_per_second: float
    cpu_seconds_per_million: float
    """Of the worker, its start included."""
    start_seconds: float
    """From the start of the process to the first clicks that it has committed."""
    rss_bytes: int
    """The most it had."""


class GrowthFigures(msgspec.Struct):
    """The curves; the JSON object of `--json`."""

    axes: dict[str, list[PointFigures] | list[PartitionFigures]]
    exact_scoring: list[Any]
    """Of catalogues by the encoder, and by an index in its place; empty where not measured."""


class GrowthPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure. Without `bootstrap` the axis of partitions starts a Kafka of its own."""

    users: Sequence[int] = (1_000, 10_000, 100_000, 1_000_000)
    items: Sequence[int] = (1_000, 10_000, 100_000, 1_000_000)
    window: Sequence[int] = (10, 50, 200, 500)
    partitions: Sequence[int] = (1, 4, 16, 64)
    warm_clicks: int = 40_000
    most_warm_clicks: int = 200_000
    """For many users, so that the windows held in memory are as many as they will be."""
    clicks: int = 50_000
    lists: int = 1_000
    kafka_clicks: int = 150_000
    bootstrap: str | None = None

    @classmethod
    def short(cls, bootstrap: str | None = None) -> "GrowthPlan":
        """Two small points an axis: a smoke test."""
        return cls(
            users=(100, 500),
            items=(100, 500),
            window=(10, 50),
            partitions=(1, 4),
            warm_clicks=500,
            most_warm_clicks=500,
            clicks=1_000,
            lists=20,
            kafka_clicks=10_000,
            bootstrap=bootstrap,
        )

    def points(self, axis: Axis) -> list[PointPlan]:
        """Of an axis that needs no Kafka."""
        same = {"clicks": self.clicks, "lists": self.lists, "warm_clicks": self.warm_clicks}
        if axis == "users":
            most = self.most_warm_clicks
            return [
                PointPlan(**{**same, "warm_clicks": max(self.warm_clicks, min(4 * users, most))},
                          users=users)
                for users in self.users
            ]  # fmt: skip
        if axis == "items":
            return [PointPlan(**same, items=items) for items in self.items]
        return [PointPlan(**same, window=window) for window in self.window]


def run(
    plan: GrowthPlan, axes: Sequence[Axis], tell: Callable[[str], None] = lambda _: None
) -> GrowthFigures:
    """Measure some axes; `tell` is given a line a point. RuntimeError when a worker dies."""
    figures = GrowthFigures({}, [])
    for axis in axes:
        if axis == "partitions":
            figures.axes[axis] = [_of_partitions(plan, number, tell) for number in plan.partitions]
        else:
            figures.axes[axis] = [_in_child(axis, point, tell) for point in plan.points(axis)]
    return figures


def _in_child(axis: Axis, point: PointPlan, tell: Callable[[str], None]) -> PointFigures:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(measure, (point,))
    tell(
        f"{axis} {getattr(found, axis)}: {found.cpu_microseconds_per_click:.1f} us a click, "
        f"{found.cpu_microseconds_per_list:.0f} us a list, {found.rss_bytes / 1e6:.0f} MB"
    )
    return found


def _of_partitions(
    plan: GrowthPlan, partitions: int, tell: Callable[[str], None]
) -> PartitionFigures:
    found = state.run(
        StateBench(
            Workload(clicks=plan.kafka_clicks, users=2_000, items=1_000),
            workers=1,
            partitions=partitions,
            bootstrap=plan.bootstrap,
        )
    )
    tell(
        f"partitions {partitions}: {found.clicks_per_second:.0f} clicks/s, "
        f"{found.worker_cpu_seconds_per_million:.1f} CPU-seconds per million, "
        f"{found.peak_rss_bytes / 1e6:.0f} MB"
    )
    return PartitionFigures(
        partitions,
        found.clicks_per_second,
        found.worker_cpu_seconds_per_million,
        found.start_seconds,
        found.peak_rss_bytes,
    )
