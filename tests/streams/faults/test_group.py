"""A rebalance is a change between two settled states of the group."""

from streams.bench.faults.group import GroupWatch


def described(state: str, shares: dict[str, bytes], error: int = 0) -> tuple[object, ...]:
    members = [(f"id-{name}-x", name, "/127.0.0.1", b"", share) for name, share in shares.items()]
    return (error, "group", state, "consumer", "range", members)


def test_changes_of_the_shares_are_counted_and_nothing_else() -> None:
    watch = GroupWatch("127.0.0.1:1", "group")
    for state, shares in (
        ("Stable", {"a": b"0123"}),  # the first settled state is no change
        ("Stable", {"a": b"0123"}),
        ("PreparingRebalance", {"a": b"", "b": b""}),
        ("Stable", {"a": b"01", "b": b"23"}),  # 1
        ("Empty", {}),
        ("Stable", {"a": b"01", "b": b"23"}),  # back as it was
        ("Stable", {"b": b"0123"}),  # 2
    ):
        watch.note(described(state, shares))
    assert watch.rebalances == 2


def test_an_answer_with_an_error_says_nothing() -> None:
    watch = GroupWatch("127.0.0.1:1", "group")
    watch.note(described("Stable", {"a": b"0123"}))
    watch.note(described("Stable", {}, error=15))
    watch.note(described("Stable", {"a": b"0123"}))
    assert watch.rebalances == 0
