"""Only the unbroken run of finished deliveries at the head may be committed."""

from hypothesis import given
from hypothesis import strategies as st

from streams.offsets import Delivery, OffsetTracker


def test_nothing_is_committable_before_the_first_delivery() -> None:
    assert OffsetTracker().committable("p0") is None


def test_a_finished_delivery_commits_the_offset_after_its_last_record() -> None:
    tracker = OffsetTracker()
    tracker.deliver("p0", 41).finish()
    assert tracker.committable("p0") == 42


def test_an_unfinished_head_holds_back_everything_behind_it() -> None:
    tracker = OffsetTracker()
    head = tracker.deliver("p0", 9)
    tracker.deliver("p0", 19).finish()
    tracker.deliver("p0", 29).finish()
    assert tracker.committable("p0") is None
    head.finish()
    assert tracker.committable("p0") == 30


def test_a_gap_of_one_offset_between_deliveries_is_not_skipped() -> None:
    tracker = OffsetTracker()
    tracker.deliver("p0", 9).finish()
    waiting = tracker.deliver("p0", 10)
    tracker.deliver("p0", 11).finish()
    assert tracker.committable("p0") == 10
    assert tracker.committable("p0") is None
    waiting.finish()
    assert tracker.committable("p0") == 12


def test_partitions_do_not_hold_each_other_back() -> None:
    tracker = OffsetTracker()
    tracker.deliver("p0", 5)
    tracker.deliver("p1", 7).finish()
    assert tracker.committable("p1") == 8
    assert tracker.pending() == 1


def test_a_delivery_of_an_earlier_assignment_cannot_commit_what_is_read_again() -> None:
    tracker = OffsetTracker()
    stale = tracker.deliver("p0", 9)
    tracker.drop("p0")
    tracker.deliver("p0", 9)
    stale.finish()
    assert tracker.committable("p0") is None


def test_only_partitions_with_deliveries_are_listed() -> None:
    tracker = OffsetTracker()
    tracker.deliver("p0", 1).finish()
    tracker.deliver("p1", 1)
    tracker.committable("p0")
    assert tracker.partitions() == ["p1"]


@given(st.permutations(range(12)))
def test_in_whatever_order_batches_finish_no_unfinished_one_is_passed(order: list[int]) -> None:
    tracker = OffsetTracker()
    deliveries = [tracker.deliver("p0", 10 * (number + 1)) for number in range(12)]
    committed = 0
    finished: set[int] = set()
    for number in order:
        deliveries[number].finish()
        finished.add(number)
        offset = tracker.committable("p0")
        if offset is not None:
            committed = offset
        head = next((n for n in range(12) if n not in finished), 12)
        assert committed == (10 * head + 1 if head else 0)


def test_deliveries_of_a_dropped_partition_know_that_their_assignment_ended() -> None:
    tracker = OffsetTracker()
    old, other = tracker.deliver(0, 9), tracker.deliver(1, 9)
    tracker.drop(0)
    new = tracker.deliver(0, 9)
    old.finish()
    assert (old.revoked, other.revoked, new.revoked) == (True, False, False)
    assert tracker.committable(0) is None


def test_what_was_reported_is_not_reported_again() -> None:
    tracker = OffsetTracker()
    tracker.deliver("p0", 9).finish()
    assert tracker.committable("p0") == 10
    assert tracker.committable("p0") is None
    assert tracker.partitions() == []


def test_a_batch_that_grew_before_it_was_taken_commits_its_new_end() -> None:
    tracker = OffsetTracker()
    delivery = tracker.deliver("p0", 9)
    delivery.last_offset = 14
    delivery.finish()
    assert tracker.committable("p0") == 15


def test_gaps_in_the_offsets_of_a_compacted_or_transactional_topic_do_not_stop_a_commit() -> None:
    tracker = OffsetTracker()
    tracker.deliver("p0", 3).finish()
    tracker.deliver("p0", 90).finish()
    assert tracker.committable("p0") == 91


def test_finishing_twice_changes_nothing() -> None:
    tracker = OffsetTracker()
    first, second = tracker.deliver("p0", 9), tracker.deliver("p0", 19)
    first.finish()
    first.finish()
    assert tracker.committable("p0") == 10
    assert not second.done
    assert tracker.pending() == 1


def test_a_partition_is_at_rest_when_its_last_delivery_is_finished_whatever_the_order() -> None:
    rests = 0

    def rest() -> None:
        nonlocal rests
        rests += 1

    tracker = OffsetTracker(rest)
    first, second = tracker.deliver("p0", 9), tracker.deliver("p0", 19)
    other = tracker.deliver("p1", 9)
    second.finish()
    assert rests == 0
    first.finish()
    first.finish()
    assert rests == 1
    other.finish()
    assert rests == 2
    tracker.deliver("p0", 29).finish()
    assert rests == 3


def test_a_partition_that_comes_back_begins_where_it_is_read_and_not_where_it_was() -> None:
    tracker = OffsetTracker()
    tracker.deliver("p0", 99).finish()
    tracker.drop("p0")
    tracker.deliver("p0", 49).finish()
    assert tracker.committable("p0") == 50


def test_dropping_a_partition_that_was_never_delivered_is_nothing() -> None:
    tracker = OffsetTracker()
    tracker.drop("p0")
    assert (tracker.partitions(), tracker.pending(), tracker.committable("p0")) == ([], 0, None)


@given(
    st.lists(
        st.tuples(st.sampled_from(["deliver", "finish", "commit", "drop"]), st.integers(0, 9)),
        max_size=80,
    )
)
def test_no_history_commits_past_an_unfinished_delivery(steps: list[tuple[str, int]]) -> None:
    tracker = OffsetTracker()
    current: list[Delivery] = []
    every: list[Delivery] = []
    end = 0
    for step, number in steps:
        if step == "deliver":
            end += number + 1
            current.append(tracker.deliver("p0", end - 1))
            every.append(current[-1])
        elif step == "finish" and every:
            every[number % len(every)].finish()
        elif step == "drop":
            tracker.drop("p0")
            # It is read again from anywhere up to where it was.
            end = min(end, number)
            current = []
        elif step == "commit":
            offset = tracker.committable("p0")
            done = []
            while current and current[0].done:
                done.append(current.pop(0).last_offset + 1)
            assert offset == (done[-1] if done else None)
