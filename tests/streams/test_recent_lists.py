"""The newest messages of a partition, kept for look-ups."""

from streams.recent_lists import RecentLists
from streams.recommendation import encode_recommendation
from tests.streams.api_world import a_recommendation


def _put(lists: RecentLists, user: str, recommendation_id: str) -> None:
    lists.put(user, encode_recommendation(a_recommendation(user, recommendation_id)))


def test_the_list_made_longest_ago_is_dropped_at_the_bound() -> None:
    lists = RecentLists(most=2)
    for user, recommendation_id in (("u1", "a"), ("u2", "b"), ("u1", "c"), ("u3", "d")):
        _put(lists, user, recommendation_id)
    assert lists.get("u2") is None
    kept = [lists.get("u1"), lists.get("u3")]
    assert [found and found.recommendation_id for found in kept] == ["c", "d"]


def test_an_erased_user_s_list_is_forgotten() -> None:
    lists = RecentLists()
    _put(lists, "u1", "a")
    lists.forget("u1")
    lists.forget("nobody")
    assert lists.get("u1") is None
