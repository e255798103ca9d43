"""The hollow worker of the benchmark: what it says to everybody, and what it leaves out."""

from typing import Any

from streams.bench.hollow import HollowGraphPipeline, HollowRecommender, HollowWorker
from streams.events import DegradedReason, ModelInfo, ServedBy
from streams.lists import RankedList, RecommenderConfig
from streams.transitions import ReceivedPositions, SentPositions, encode_transitions
from tests.streams.list_world import NOW_MS, FakeScorer, World, crowd_world, ids
from tests.streams.pipeline_world import CONFIG, DictTable, FakeRecord, a_click
from tests.streams.pipeline_world import World as PipelineWorld
from tests.streams.shell_fakes import make_settings

MODEL = ModelInfo("bert", "7")


def a_scorer() -> Any:
    return FakeScorer({f"i{number:02}": -1.0 - number for number in range(25)})


def a_recommender(world: World, **config: Any) -> HollowRecommender:
    config = {"window": world.window, **config}
    return HollowRecommender(world.replica, world.catalogue, RecommenderConfig(**config))


def finished(recommender: HollowRecommender, prepared: Any, scorer: Any) -> list[RankedList]:
    scores = scorer.run(prepared.batch)
    return recommender.finish(prepared, scores, degraded_reason=None, model=MODEL)


def test_every_user_of_a_hollow_batch_gets_the_same_list() -> None:
    world, scorer = crowd_world(), a_scorer()
    world.clicks("v", "c", "z")
    recommender = a_recommender(world, list_size=7)
    prepared = recommender.prepare([world.request(user) for user in ("u", "v")], scorer)
    lists = finished(recommender, prepared, scorer)
    assert [ranked.request.user_id for ranked in lists] == ["u", "v"]
    assert lists[0].items == lists[1].items
    assert ids(lists[0]) == scorer.items[:7]
    assert [item.rank for item in lists[0].items] == list(range(1, 8))
    for ranked in lists:
        assert (ranked.served_by, ranked.degraded_reason) == (ServedBy.BERT_GRAPH, None)
        assert ranked.model == MODEL
        assert ranked.graph_ids == ranked.popularity_ids == scorer.items[:10]


def test_its_items_have_reasons_of_graph_and_encoder_and_its_window_is_the_users() -> None:
    world, scorer = crowd_world(), a_scorer()
    world.clicks("v", "c", "z")
    recommender = a_recommender(world)
    prepared = recommender.prepare([world.request("v")], scorer)
    (ranked,) = finished(recommender, prepared, scorer)
    for item in ranked.items:
        graph, sequence = item.reasons
        assert (graph.code, sequence.code) == ("CO_CLICKED", "SEQUENCE")
        assert graph.item_id
        assert graph.weight
        assert graph.age_seconds
        assert sequence.delta
    (real,) = world.lists("v")
    assert ranked.window == real.window
    assert ranked.window.events == 2


def test_the_encoder_gets_full_windows_that_are_made_once_for_a_size() -> None:
    world, scorer = crowd_world(), a_scorer()
    recommender = a_recommender(world, max_candidates=30)
    request = world.request("u")
    batches = [recommender.prepare([request] * n, scorer).batch for n in (2, 3, 2)]
    assert batches[0] is batches[2]
    assert [candidates.shape for _, candidates in batches] == [(2, 30), (3, 30), (2, 30)]
    assert {len(history.items) for history in scorer.histories} == {world.window.max_events}


def test_another_model_or_configuration_is_made_ready_anew() -> None:
    world, scorer = crowd_world(), a_scorer()
    recommender = a_recommender(world)
    requests = [world.request("u")]
    first = recommender.prepare(requests, scorer).batch
    recommender.config = RecommenderConfig(window=world.window, list_size=3)
    prepared = recommender.prepare(requests, scorer)
    assert prepared.batch is not first
    (ranked,) = finished(recommender, prepared, scorer)
    assert len(ranked.items) == 3
    other: Any = FakeScorer({"other": -1.0})
    prepared = recommender.prepare(requests, other)
    (ranked,) = finished(recommender, prepared, other)
    assert ids(ranked) == ["other"]


def test_who_is_too_late_for_the_encoder_gets_the_list_without_its_name() -> None:
    world, scorer = crowd_world(), a_scorer()
    recommender = a_recommender(world)
    requests = [world.request("u")]
    recommender.prepare(requests, scorer)
    prepared = recommender.prepare(requests, None)
    assert prepared.batch is None
    reason = DegradedReason.DEADLINE
    (ranked,) = recommender.finish(prepared, None, degraded_reason=reason, model=MODEL)
    assert ids(ranked) == scorer.items[:10]
    assert (ranked.served_by, ranked.degraded_reason) == (ServedBy.GRAPH, reason)
    assert ranked.model is None


def test_before_a_model_has_come_lists_are_real_ones() -> None:
    world = crowd_world()
    recommender = a_recommender(world)
    prepared = recommender.prepare([world.request("u")], None)
    (ranked,) = recommender.finish(prepared, None, degraded_reason=None, model=None)
    (expected,) = world.lists("u")
    assert ranked.items == expected.items


def test_a_hollow_graph_keeps_the_chain_of_transitions_and_hears_of_no_item() -> None:
    clicks = [a_click(offset, "u1", f"i{offset}") for offset in range(6)]
    sent = SentPositions(0)
    world = PipelineWorld()
    parts = [world.run(clicks[:3], sent), world.run(clicks[3:], sent)]
    (number, first) = next(iter(parts[0].transitions.items()))
    second = parts[1].transitions[number]
    records: list[Any] = [
        FakeRecord(offset, NOW_MS, None, encode_transitions(batch))
        for offset, batch in enumerate((first, second))
    ]
    graph, received = DictTable(), ReceivedPositions()
    pipeline = HollowGraphPipeline(CONFIG)
    assert pipeline.process(records[1:], graph, received).set_aside == 1
    effects = pipeline.process(records, graph, received)
    assert (effects.set_aside, effects.edges, effects.damaged) == (0, 0, 0)
    assert received.positions == {0: second.offsets[-1]}
    assert graph == {}
    assert pipeline.process([FakeRecord(2, NOW_MS, None, b"rubbish")], graph, received).damaged == 1


async def test_a_hollow_worker_has_a_hollow_recommender_for_its_batches() -> None:
    worker = HollowWorker(make_settings(), 4, 1_000_000)
    assert isinstance(worker.recommender, HollowRecommender)
    assert isinstance(worker.graph._pipeline, HollowGraphPipeline)
    await worker.publisher.stop()
