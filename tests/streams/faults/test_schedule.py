"""A seed decides which fault happens when; the schedule keeps the cluster able to come back."""

from collections import Counter, defaultdict

import pytest

from streams.bench.faults.schedule import (
    BROKERS,
    EXTRA,
    LONG,
    SESSION_SECONDS,
    SHORT,
    TOPICS,
    WORKERS,
    Action,
    Faults,
    Fitness,
    Step,
    duration_seconds,
    schedule,
)

SEEDS = range(30)
ENDS = {
    Action.KILL_BROKER: Action.RESTART_BROKER,
    Action.CUT: Action.HEAL,
    Action.SILENCE: Action.HEAL,
    Action.DELAY: Action.HEAL,
    Action.SLOW: Action.HASTEN,
    Action.REJECT: Action.ALLOW,
    Action.REFUSE: Action.ALLOW,
}


def steps_of(seed: int, faults: Faults = LONG, store: str = "rocksdb") -> list[Step]:
    return schedule(faults, seed, pause_seconds=3.0, store=store)


def test_the_same_seed_gives_the_same_schedule_and_another_one_another() -> None:
    assert steps_of(5) == steps_of(5)
    assert steps_of(5) != steps_of(6)


@pytest.mark.parametrize("seed", SEEDS)
def test_steps_are_in_the_order_of_their_times(seed: int) -> None:
    times = [step.at_seconds for step in steps_of(seed)]
    assert times == sorted(times)
    assert times[0] >= 1.0
    assert duration_seconds(steps_of(seed)) == times[-1]


def test_the_long_form_has_what_it_must_have_on_either_store() -> None:
    for store in ("rocksdb", "memory"):
        done = Counter(step.action for step in steps_of(1, store=store))
        assert done[Action.KILL_WORKER] >= 20
        assert done[Action.KILL_BROKER] >= 6
        joins = [step for step in steps_of(1, store=store) if step.target == str(EXTRA)]
        assert len(joins) >= 10


def test_the_short_form_has_every_kind_of_fault() -> None:
    assert {step.action for step in steps_of(1, SHORT)} == set(Action)


@pytest.mark.parametrize("seed", SEEDS)
def test_memory_has_no_disk_that_could_fail(seed: int) -> None:
    actions = {step.action for step in steps_of(seed, store="memory")}
    assert not actions & {Action.CORRUPT_STATE, Action.WIPE_STATE, Action.FILL_DISK}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fault_ends_before_the_next_one_of_the_same_part_begins(seed: int) -> None:
    open_faults: dict[tuple[Action, str], Step] = {}
    for step in steps_of(seed):
        if step.action in ENDS:
            key = (ENDS[step.action], "broker" if "BROKER" in step.action.name else step.target)
            assert key not in open_faults, (open_faults[key], step)
            open_faults[key] = step
        elif step.action in ENDS.values():
            key = (step.action, "broker" if "BROKER" in step.action.name else step.target)
            assert open_faults.pop(key).at_seconds < step.at_seconds
    assert open_faults == {}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_worker_that_is_taken_down_is_started_again(seed: int) -> None:
    down: dict[str, bool] = defaultdict(bool)
    for step in steps_of(seed):
        if step.action in (Action.KILL_WORKER, Action.STOP_WORKER):
            assert not down[step.target], step
            down[step.target] = True
        elif step.action in (Action.START_WORKER, Action.START_WORKER_SKEWED):
            down[step.target] = False
    assert [worker for worker in map(str, range(WORKERS)) if down[worker]] == []


@pytest.mark.parametrize("seed", SEEDS)
def test_targets_exist(seed: int) -> None:
    brokers = {"leader", "coordinator", *map(str, range(BROKERS))}
    topics = {Action.SLOW, Action.HASTEN, Action.REJECT, Action.REFUSE, Action.ALLOW}
    for step in steps_of(seed):
        if step.action in (Action.KILL_BROKER, Action.RESTART_BROKER):
            assert step.target in brokers
        elif step.action in topics:
            assert step.target in TOPICS
        else:
            assert int(step.target) in range(WORKERS + 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_produce_requests_to_every_topic_are_slowed_rejected_and_refused(seed: int) -> None:
    for action in (Action.SLOW, Action.REJECT, Action.REFUSE):
        assert {s.target for s in steps_of(seed) if s.action is action} == set(TOPICS)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_network_is_never_silent_for_as_long_as_a_session(seed: int) -> None:
    silent: dict[str, float] = {}
    for step in steps_of(seed):
        if step.action is Action.SILENCE:
            silent[step.target] = step.at_seconds
        elif step.action is Action.HEAL and step.target in silent:
            assert step.at_seconds - silent.pop(step.target) < SESSION_SECONDS


def test_some_workers_are_cut_off_for_longer_than_a_session() -> None:
    begun: dict[str, float] = {}
    longest = 0.0
    for step in steps_of(1):
        if step.action is Action.CUT:
            begun[step.target] = step.at_seconds
        elif step.action is Action.HEAL and step.target in begun:
            longest = max(longest, step.at_seconds - begun.pop(step.target))
    assert longest > SESSION_SECONDS


def test_faults_wait_for_work_to_meet_and_their_ends_do_not() -> None:
    for step in steps_of(2):
        if step.action in ENDS.values():
            assert step.on is Fitness.ANY
        elif step.action in ENDS:
            assert step.on is not Fitness.ANY
