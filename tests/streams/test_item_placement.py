"""A worker's own wiring, without brokers: an item message comes in, lists have the item."""

import asyncio
import json
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

from model.scorer import History
from streams.click import Click
from streams.events import Trigger
from streams.item_placement import ItemPlacement
from streams.lists import ListRequest
from streams.window import Window, fold
from streams.worker import Worker
from tests.streams.shell_fakes import NOW_MS, FakeRecord, make_settings


def item_record(offset: int, item_id: str, title: str) -> FakeRecord:
    body = {"item_id": item_id, "title": title}
    return FakeRecord(offset, item_id.encode(), json.dumps(body).encode())


def window_of(worker: Worker, *items: str) -> Window:
    window = None
    for offset, item in enumerate(items):
        click = Click("ann", item, "click", NOW_MS + offset, None, 1.0, None, None, 0)
        window, _, _ = fold(window, click, 0, offset, NOW_MS, worker.settings.window_config())
    assert window is not None
    return window


def list_of(worker: Worker, *history: str) -> dict[str, set[str]]:
    """Item -> reason codes, as the batcher would have them made."""
    trigger = Trigger(None, "clicks", 0, 1, "2026-01-31T12:00:00.000Z")
    request = ListRequest("ann", window_of(worker, *history), trigger, 0, NOW_MS, 0.0)
    scorer = worker.batcher.scorer
    assert scorer is not None
    prepared = worker.recommender.prepare([request], scorer)
    scores = scorer.run(prepared.batch)
    (ranked,) = worker.recommender.finish(prepared, scores, degraded_reason=None, model=None)
    return {item.item_id: {reason.code.value for reason in item.reasons} for item in ranked.items}


@pytest.fixture
def model_dir(text_artifact: Any) -> Path:
    return Path(text_artifact.path)


class Running:
    """A worker with a model, whose placement runs and tells of every call."""

    def __init__(self, model_dir: Path) -> None:
        self.worker = Worker(make_settings(model_dir=model_dir, list_size=50), 4, 1_000_000)
        self.calls: asyncio.Queue[None] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        placement: Any = self.worker.placement
        place_some = placement._place_some

        async def told(*arguments: Any) -> None:
            await place_some(*arguments)
            self.calls.put_nowait(None)

        placement._place_some = told
        await self.worker.model.load()
        self.placing = asyncio.create_task(placement.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert not self.placing.done()
        self.placing.cancel()
        await self.worker.publisher.stop()

    @property
    def scorer(self) -> Any:
        return self.worker.batcher.scorer

    async def publish(self, **titles: str) -> None:
        """Item records come in, and their text has been dealt with."""
        records = [item_record(n, *pair) for n, pair in enumerate(titles.items())]
        self.worker.read_models.on_items(0, records)
        async with asyncio.timeout(30):
            await self.calls.get()


async def test_an_item_published_after_training_is_scored_from_its_text(model_dir: Path) -> None:
    titles = {"n0": "red desk", "n1": "old wool", "n2": "big rug", "n3": "blue oak lamp"}
    # The weights are random, so to some users a text speaks for its item and to others against it.
    users = [(f"item-{n}", f"item-{n + 1}", f"item-{n + 2}") for n in range(0, 50, 5)]
    found = 0
    async with Running(model_dir) as running:
        before = [list_of(running.worker, *user) for user in users]
        assert not any(titles.keys() & listed for listed in before)
        await running.publish(**titles)
        places = running.scorer.text.encode(list(titles.values()), [()] * 4)
        for user in users:
            window = History(user, ["click"] * 3, [NOW_MS + n for n in range(3)], [0] * 3)
            (log_probs,) = places.log_probs(*running.scorer.states([window]))
            no_candidates = np.zeros((1, 0), np.int64)
            lowest = running.scorer.score([window], no_candidates).top_log_probs.min()
            pairs = zip(titles, log_probs, strict=True)
            spoken_for = {item for item, log_prob in pairs if log_prob > lowest}
            listed = list_of(running.worker, *user)
            assert listed.keys() & titles == spoken_for
            assert all("NEW_ITEM" in listed[item] for item in spoken_for)
            found += len(spoken_for)
    assert 0 < found < 4 * len(users)


async def test_a_withdrawn_item_has_no_place(model_dir: Path) -> None:
    async with Running(model_dir) as running:
        await running.publish(new="red desk")
        assert len(running.worker.cold_items) == 1
        running.worker.read_models.on_items(0, [FakeRecord(1, b"new", None)])
        assert len(running.worker.cold_items) == 0
        assert "new" not in list_of(running.worker, "item-1")


async def test_a_text_that_cannot_be_encoded_costs_no_other_item_its_place(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with Running(model_dir) as running:
        with monkeypatch.context() as broken:
            broken.setattr(running.scorer.text, "encode", lambda *_: 1 / 0)
            await running.publish(bad="red desk")
        assert "could not be encoded" in caplog.text
        await running.publish(good="red desk")
        assert len(running.worker.cold_items) == 1


async def test_without_tokenizers_it_is_said_once_how_to_get_them(
    model_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Running(model_dir) as running:
        running.scorer.text = None
        placement = ItemPlacement(running.worker.cold_items)
        placement.serve(running.scorer)
        placement.serve(running.scorer)
    told = [r.getMessage() for r in caplog.records if "freshrec[text]" in r.getMessage()]
    assert len(told) == 1
