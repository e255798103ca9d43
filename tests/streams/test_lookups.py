"""Look-ups of a worker's state, as the HTTP server gets them."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

import streams.lookups
from streams import api
from streams.instant import iso_utc
from streams.lookups import Lookups
from streams.partition import LastList
from streams.recommendation import ReasonCode
from tests.streams.api_world import DAY_MS, make_world, running_lookups, worker_of
from tests.streams.list_world import NOW_MS
from tests.streams.shell_fakes import make_settings


@pytest.fixture(scope="module")
def lookups() -> Iterator[Lookups]:
    with running_lookups(worker_of(make_world())) as running:
        yield running


def test_items_trend_by_how_far_they_exceed_their_usual_rate(lookups: Lookups) -> None:
    answer = lookups.trending_json(10)
    lamp = answer.items[0]
    assert (lamp.item_id, lamp.title, lamp.categories) == ("lamp", "Desk lamp", ["home", "light"])
    trends = [item.trend for item in answer.items]
    assert trends == sorted(trends, reverse=True)
    assert lamp.popularity.events == 3
    assert lamp.popularity.trending < lamp.popularity.decayed
    assert len(trends) == 2
    assert lookups.trending_json(1).items == [lamp]


def test_what_is_clicked_less_than_usual_does_not_trend(lookups: Lookups) -> None:
    trends = {item.item_id: item.trend for item in lookups.trending_json(100).items}
    assert "tent" not in trends
    assert all(trend > 1.0 for trend in trends.values())
    quiet = make_world()
    with running_lookups(worker_of(quiet, now_ms=NOW_MS + 30 * DAY_MS)) as later:
        assert later.trending_json(10).items == []


def test_trends_are_what_a_list_would_be_made_from_and_looking_changes_none() -> None:
    world = make_world()
    world.replica.popularity(NOW_MS - 30_000)
    with running_lookups(worker_of(world)) as lookups:
        unchanged = lookups.trending_json(10)
        world.click("other", "lamp", at_ms=NOW_MS)
        changed = lookups.trending_json(10)
    assert (unchanged.at, changed.at) == (iso_utc(NOW_MS - 30_000), iso_utc(NOW_MS))
    assert changed.items[0].trend > unchanged.items[0].trend
    # The list after that is made as if nobody had looked.
    assert world.replica.popularity(NOW_MS - 29_999).at_ms == NOW_MS - 29_999


def test_a_user_s_evolution_has_sessions_drift_and_interest(lookups: Lookups) -> None:
    answer = lookups.evolution_json("u", 1800)
    assert answer is not None
    outdoors, home = answer.sessions
    assert (outdoors.end, home.end) == (iso_utc(NOW_MS - DAY_MS), iso_utc(NOW_MS))
    assert home.event_types == {"click": 3, "dislike": 1}
    assert outdoors.items[0] == api.ItemEvents("tent", "Tent", 2)
    assert [share.category for share in home.categories] == ["home", "light"]
    (step,) = answer.drift
    assert step.distance == 1.0
    assert step.expected is not None
    assert step.expected < 1.0
    interest = {row.label: (row.now, row.before) for row in answer.interest}
    assert interest["outdoor"][1] == 1.0
    assert interest["home"][0] > interest["outdoor"][0]
    assert lookups.evolution_json("u", 1800) == answer
    assert lookups.evolution_json("nobody", 1800) is None


def test_evolutions_are_reckoned_one_at_a_time(
    lookups: Lookups, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, go_on = threading.Semaphore(0), threading.Event()
    reckon = streams.lookups.evolution

    def held(*arguments: Any, **options: Any) -> Any:
        inside.release()
        assert go_on.wait(10)
        return reckon(*arguments, **options)

    monkeypatch.setattr(streams.lookups, "evolution", held)
    with ThreadPoolExecutor(2) as askers:
        answers = [askers.submit(lookups.evolution_json, "u", 1800) for _ in range(2)]
        assert inside.acquire(timeout=10)
        assert not inside.acquire(timeout=0.2)
        go_on.set()
        assert [answer.result(10) for answer in answers] == [lookups.evolution_json("u", 1800)] * 2


def test_places_of_a_session_are_the_middles_of_their_cells(lookups: Lookups) -> None:
    answer = lookups.evolution_json("tourist", 1800)
    assert answer is not None
    (place,) = answer.sessions[0].places
    assert place.events == 1
    assert -90 <= place.lat <= 90


def test_the_items_around_a_user_have_titles(lookups: Lookups) -> None:
    ego = msgspec.convert(lookups.ego_json("u"), api.Ego)
    titles = {node.id: node.title for node in ego.graph.nodes}
    assert titles["lamp"] == "Desk lamp"
    assert titles["a/ä b"] == ""
    assert titles["user:u"] is msgspec.UNSET


def test_the_graph_around_a_user_is_made_by_the_thread_that_asks(
    lookups: Lookups, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_by = []
    make = streams.lookups.ego_snapshot

    def noted(*arguments: Any) -> Any:
        made_by.append(threading.current_thread())
        return make(*arguments)

    monkeypatch.setattr(streams.lookups, "ego_snapshot", noted)
    assert lookups.ego_json("u") is not None
    assert lookups.ego_json("nobody") is None
    assert made_by == [threading.current_thread()]


def test_an_item_whose_state_cannot_be_read_leads_nowhere() -> None:
    worker = worker_of(make_world())
    worker.replica._blobs["tent"] = worker.replica.blob("tent")[:-1]
    with running_lookups(worker) as lookups:
        ego = msgspec.convert(lookups.ego_json("u"), api.Ego)
        whole = lookups.graphml()
    assert b'source="tent"' not in whole
    assert b'source="' in whole
    assert "tent" in {event.item_id for event in ego.window}
    assert "tent" not in {edge.source for edge in ego.graph.edges}


def test_a_list_has_the_scores_and_reasons_that_were_published(lookups: Lookups) -> None:
    answer = lookups.recommendations_json("u")
    assert answer is not None
    assert answer.served_by == "bert+graph"
    assert answer.degraded_reason is None
    assert answer.latency_ms == 12.5
    lamp, desk = answer.items
    assert (lamp.item_id, lamp.score) == ("lamp", 6.25)
    co_clicked, trending = lamp.reasons
    assert co_clicked == api.ListedReason(ReasonCode.CO_CLICKED, "desk", "Desk", 0.5, None, 34.0)
    assert trending.code == "TRENDING"
    assert [reason.code for reason in desk.reasons] == ["SEQUENCE"]


def test_a_list_whose_message_is_not_held_has_neither_scores_nor_reasons(lookups: Lookups) -> None:
    answer = lookups.recommendations_json("tourist")
    assert answer is not None
    assert answer.recommendation_id == "rec-9"
    assert answer.items == [api.ListedItem("desk", "Desk", None, [])]
    assert answer.served_by is None


def test_the_neighbours_of_an_item_are_the_strongest_first(lookups: Lookups) -> None:
    tent = msgspec.convert(lookups.item_json("tent"), api.ItemAnswer)
    weights = [edge.weight for edge in tent.neighbours]
    assert len(weights) > 1
    assert weights == sorted(weights, reverse=True)


def test_a_user_with_a_pseudonym_is_found_by_it_and_by_the_id() -> None:
    settings = make_settings(pseudonym_key="k" * 32)
    pseudonym = settings.known_as("ann")
    world = make_world()
    world.clicks(pseudonym, "lamp", "desk", at_ms=NOW_MS)
    worker = worker_of(world)
    worker.settings = settings
    worker.owned[0].lists[pseudonym] = LastList("rec-3", NOW_MS, ["tent"])
    with running_lookups(worker) as lookups:
        for look_up in (lookups.ego_json, lookups.recommendations_json):
            assert look_up("ann") == look_up(pseudonym) is not None
        evolved = lookups.evolution_json("ann", 1800)
        assert evolved == lookups.evolution_json(pseudonym, 1800) is not None


def test_a_read_that_fails_on_the_loop_fails_at_once_where_it_was_asked_for() -> None:
    worker = worker_of(make_world())
    del worker.catalogue
    with running_lookups(worker) as lookups, pytest.raises(AttributeError):
        lookups.item_json("lamp")
