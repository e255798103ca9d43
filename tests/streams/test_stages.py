"""Staged workers: their metrics tell every stage, of whichever type they are."""

from collections.abc import Iterable
from typing import Any

import pytest

from streams.bench.hollow import HollowGraphPipeline, HollowRecommender
from streams.bench.stages import StagedHollowWorker, StagedWorker
from streams.bench.stopwatch import Stopwatch
from streams.bench.usage import STAGE_METRIC
from streams.recommender import Recommender
from tests.streams.shell_fakes import make_settings

STAGES = {
    "batches", "candidates", "clicks", "connection", "encoder", "fetch", "graph", "messages",
    "ranking", "send", "states", "store",
}  # fmt: skip


@pytest.fixture(autouse=True)
def functions_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def watch(self: Stopwatch, stage: str, owner: Any, names: Iterable[str]) -> None:
        for name in names:
            monkeypatch.setattr(owner, name, self.timed(stage, getattr(owner, name)))

    monkeypatch.setattr(Stopwatch, "watch", watch)


def stages_of(worker: StagedWorker) -> dict[str, float]:
    return {
        sample.labels["stage"]: sample.value
        for family in worker.metrics.registry.collect()
        for sample in family.samples
        if sample.name == f"{STAGE_METRIC}_total"
    }


@pytest.mark.parametrize("worker_type", [StagedWorker, StagedHollowWorker])
async def test_a_staged_worker_tells_every_stage(worker_type: type[StagedWorker]) -> None:
    worker = worker_type(make_settings(), 4, 1_000_000)
    try:
        before = stages_of(worker)
        assert set(before) == STAGES
        worker.recommender.prepare([], None)
        after = stages_of(worker)
        assert {stage for stage in STAGES if after[stage] > before[stage]} == {"candidates"}
    finally:
        await worker.publisher.stop()


async def test_a_staged_hollow_worker_is_hollow() -> None:
    worker = StagedHollowWorker(make_settings(), 4, 1_000_000)
    assert isinstance(worker.recommender, HollowRecommender)
    assert isinstance(worker.graph._pipeline, HollowGraphPipeline)
    await worker.publisher.stop()
    plain = StagedWorker(make_settings(), 4, 1_000_000)
    assert type(plain.recommender) is Recommender
    await plain.publisher.stop()
