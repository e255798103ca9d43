"""The newest messages of a partition, kept for look-ups."""

import msgspec

from streams.recent_lists import RecentLists
from streams.recommendation import encode_recommendation
from tests.streams.api_world import a_recommendation


def _message(user: str, recommendation_id: str) -> bytes:
    return encode_recommendation(a_recommendation(user, recommendation_id))


def _put(lists: RecentLists, user: str, recommendation_id: str) -> None:
    lists.put(user, _message(user, recommendation_id))


def test_lists_made_longest_ago_are_dropped_at_the_bound() -> None:
    lists = RecentLists(most_bytes=2 * len(_message("u1", "a")))
    for user, recommendation_id in (("u1", "a"), ("u2", "b"), ("u1", "c"), ("u3", "d")):
        _put(lists, user, recommendation_id)
    assert lists.get("u2") is None
    kept = [lists.get("u1"), lists.get("u3")]
    assert [found and found.recommendation_id for found in kept] == ["c", "d"]


def test_a_long_list_takes_the_room_of_several() -> None:
    lists = RecentLists(most_bytes=3 * len(_message("u1", "a")))
    for user in ("u1", "u2", "u3"):
        _put(lists, user, "a")
    long = a_recommendation("u4", "b")
    lists.put("u4", encode_recommendation(msgspec.structs.replace(long, items=3 * long.items)))
    assert [user for user in ("u1", "u2", "u3", "u4") if lists.get(user)] == ["u3", "u4"]


def test_room_of_forgotten_and_replaced_lists_is_free_again() -> None:
    lists = RecentLists(most_bytes=2 * len(_message("u1", "a")))
    _put(lists, "u1", "a")
    for _ in range(5):
        _put(lists, "u2", "b")
    lists.forget("u2")
    _put(lists, "u3", "c")
    assert lists.get("u1") is not None


def test_without_room_nothing_is_kept() -> None:
    lists = RecentLists(most_bytes=0)
    _put(lists, "u1", "a")
    assert lists.get("u1") is None


def test_an_erased_user_s_list_is_forgotten() -> None:
    lists = RecentLists()
    _put(lists, "u1", "a")
    lists.forget("u1")
    lists.forget("nobody")
    assert lists.get("u1") is None
