import numpy as np
import pytest

from model.artifact import DEMO_ARTIFACT
from model.data import Event, sequences
from model.scorer import EncoderScorer
from streams.blend import BlendWeights
from streams.core import Core
from streams.event_log import EventLog
from streams.events import Trigger
from streams.lists import ListRequest, RecommenderConfig
from streams.lookahead import Lookahead
from streams.prequential import MISSED, PrequentialConfig, choose_examples, judge
from streams.recommender import Recommender
from tests.streams.log_samples import START_MS, pipeline, random_log

GRAPH_ONLY = RecommenderConfig(weights=BlendWeights(graph=1.0, popularity=0.0))


def log_of(*clicks):
    """Clicks (user, item), one second apart."""
    return sequences(
        Event(user, item, START_MS + 1000 * place) for place, (user, item) in enumerate(clicks)
    )


def judged(log, start, recommender=GRAPH_ONLY, encoder=None, **config):
    return judge(
        EventLog(log), PrequentialConfig(pipeline(), recommender, start, **config), encoder
    )


def test_a_tiny_stream_gives_the_ranks_that_were_worked_out_by_hand():
    log = log_of(
        ("a", "x"), ("a", "y"),  # x -> y
        ("b", "x"), ("b", "z"),  # x -> z
        ("c", "x"),
        ("c", "y"),  # after x: y and z, one transition each; z is the newer and weighs more
        ("c", "z"),  # after y, x: y has no neighbours; x -> y twice, x -> z once
        ("c", "new"),  # never seen before
        ("b", "x"),  # b knows x and z; popular: x 3, y 2, z 2, new 1
    )  # fmt: skip
    found = judged(log, 4)
    assert found.positions.tolist() == [5, 6, 7, 8]
    assert found.ranks["graph"].tolist() == [2, 2, MISSED, MISSED]
    assert found.ranks["blend"].tolist()[:3] == [2, 2, MISSED]
    assert found.ranks["last_transition"].tolist() == [2, MISSED, MISSED, MISSED]
    # x 3, then y and z with 1 each: a tie counts against; y 2, z 1; ...; x is the most popular.
    assert found.ranks["popularity"].tolist() == [3, 3, MISSED, 1]
    # b's own items are z, then x.
    assert found.ranks["own_history"].tolist() == [MISSED, MISSED, MISSED, 2]
    assert found.ranks["own_recency"].tolist() == [MISSED, MISSED, MISSED, 2]
    assert "encoder" not in found.ranks


def test_what_users_had_is_on_no_list_under_the_policy_exclude():
    log = log_of(("a", "x"), ("a", "y"), ("a", "x"), ("b", "x"), ("b", "y"), ("b", "x"))
    recommender = RecommenderConfig(repeat_policy="exclude")
    found = judged(log, 4, recommender)
    for name, ranks in found.ranks.items():
        assert ranks[1] == MISSED, name  # b comes back to x
    assert found.ranks["popularity"][0] == 1  # x, the more popular, is b's already


def test_an_event_is_not_known_before_it_is_judged():
    log = random_log(1)
    start = log.events // 2
    whole = judged(log, start)
    for cut in (start + 10, start + 31):
        known = np.argsort(log.rank)[:cut]
        names = [log.items[i] for i in log.item[known].tolist()]
        users = [log.users[u] for u in log.user[known].tolist()]
        events = zip(users, names, log.time_ms[known].tolist(), strict=True)
        truncated = judged(sequences(Event(*event) for event in events), start)
        size = len(truncated.positions)
        assert whole.positions[:size].tolist() == truncated.positions.tolist()
        for name, ranks in truncated.ranks.items():
            assert whole.ranks[name][:size].tolist() == ranks.tolist(), name


def test_a_sample_gets_the_ranks_that_the_same_events_get_among_all():
    log = random_log(2)
    everything = judged(log, 80)
    sample = judged(log, 80, max_examples=20, seed=3)
    assert len(sample.positions) == 20
    place = np.searchsorted(everything.positions, sample.positions)
    for name, ranks in sample.ranks.items():
        assert everything.ranks[name][place].tolist() == ranks.tolist(), name


def test_examples_are_events_of_users_that_were_there_before():
    log = log_of(("a", "x"), ("b", "x"), ("a", "y"), ("c", "x"), ("c", "y"))
    assert choose_examples(EventLog(log), 1, None, 0).tolist() == [2, 4]
    assert choose_examples(EventLog(log), 3, None, 0).tolist() == [4]


@pytest.mark.parametrize("policy", ["allow", "exclude"])
def test_ranks_are_places_on_the_lists_that_a_worker_would_publish(policy):
    scorer = EncoderScorer.load(DEMO_ARTIFACT, engine="cpu", threads=1)
    log = random_log(5, events=140, items=30)
    known = scorer.items
    # Half of the items are some that the encoder knows.
    log = log._replace(items=[known[7 * i] if i % 2 else name for i, name in enumerate(log.items)])
    weights = BlendWeights(
        encoder=0.5, graph=0.7, graph_last=0.3, own=0.4, own_recency=-0.2, seen=0.3, unknown=0.5,
        popularity=0.1, trending=0.2,
    )  # fmt: skip
    recommender = RecommenderConfig(weights=weights, repeat_policy=policy, list_size=40)
    start, state, events = 90, pipeline(), EventLog(log)
    lookahead = Lookahead(events, state, scorer, start)
    found = judge(events, PrequentialConfig(state, recommender, start), lookahead)

    core = Core(state)
    worker = Recommender(core.replica, core.catalogue, recommender)
    expected = []
    for position in range(len(events)):
        click = events.click(position)
        if position in found.positions:
            window = core.windows[click.user_id]
            trigger = Trigger(None, "clicks", 0, 0, "")
            request = ListRequest(click.user_id, window, trigger, 0, click.time_ms, 0.0)
            prepared = worker.prepare([request], scorer)
            scores = None if prepared.batch is None else scorer.run(prepared.batch)
            (ranked,) = worker.finish(prepared, scores, degraded_reason=None, model=None)
            names = [item.item_id for item in ranked.items]
            seen_before = click.item_id in [c.item_id for c in events.clicks(0, position)]
            place = names.index(click.item_id) + 1 if click.item_id in names else MISSED
            expected.append(place if seen_before else MISSED)
        core.fold([click.record])
    assert found.ranks["blend"].tolist() == expected
    assert (found.ranks["blend"] < MISSED).sum() > 10
    assert (found.ranks["encoder"] < MISSED).sum() > 5


def test_a_click_that_a_worker_would_reject_is_named():
    log = log_of(("a", "x"), ("a" * 300, "y"), ("a", "z"))
    with pytest.raises(ValueError, match="would reject event 1: bad_id"):
        judged(log, 1)


def test_places_of_a_log_reach_the_window():
    log = sequences([Event("a", "x", START_MS, "click", 1 << 30 | 12345)])
    core = Core(pipeline())
    core.fold([EventLog(log).click(0).record])
    assert core.windows["a"].extra.places == [1 << 30 | 12345]
