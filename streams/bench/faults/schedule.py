"""Schedule: which fault happens when, decided by a seed alone.

A fault is an episode: it begins, lasts, and is over. Episodes of different parts of the system
overlap, so that a worker is killed while a broker is away; those of one part follow each other.
"""

import random
from collections.abc import Callable, Iterator
from enum import StrEnum

import msgspec

WORKERS = 2
"""Workers that are meant to run all the time."""
EXTRA = WORKERS
"""Number of the one that joins and leaves."""
BROKERS = 3
TOPICS = ("windows", "graph", "lists", "transitions", "recommendations", "dead letters")
"""What a worker writes to, by the name that `settings` of a step uses."""
SESSION_SECONDS = 6.0
"""A worker that is silent for so long is out of the group; brokers allow no less."""


class Action(StrEnum):
    """One thing that the injector does."""

    KILL_WORKER = "kill worker"
    STOP_WORKER = "stop worker"
    START_WORKER = "start worker"
    START_WORKER_SKEWED = "start worker with a wrong clock"
    KILL_BROKER = "kill broker"
    RESTART_BROKER = "restart broker"
    CUT = "cut worker off"
    SILENCE = "silence worker's network"
    DELAY = "delay worker's network"
    HEAL = "heal worker's network"
    SLOW = "slow produce requests"
    HASTEN = "end of slow produce requests"
    REJECT = "reject produce requests for now"
    REFUSE = "reject produce requests for good"
    ALLOW = "accept produce requests"
    CORRUPT_STATE = "corrupt state"
    WIPE_STATE = "wipe state"
    FILL_DISK = "fill disk"


class Fitness(StrEnum):
    """State of the system in which a step begins."""

    ANY = "any"
    TARGET_READY = "target ready"
    """The worker that it is done to serves."""
    ALL_READY = "all ready"
    """Every worker that is meant to run serves."""


class Step(msgspec.Struct, frozen=True, order=True):
    """An action, when, and on what."""

    at_seconds: float
    number: int
    """Keeps steps of one moment in order."""
    action: Action
    target: str
    """A worker or a broker by number, `leader` or `coordinator`, a topic by name of `TOPICS`."""
    amount: float = 0.0
    """Seconds of delay or of wrong clock."""
    on: Fitness = Fitness.ANY
    """What the injector waits for, within limits, so that the fault meets work."""


class Faults(msgspec.Struct, frozen=True):
    """How many episodes of each kind."""

    kills: int = 0
    stops: int = 0
    joins: int = 0
    broker_kills: int = 0
    cuts: int = 0
    silences: int = 0
    delays: int = 0
    slow: int = 0
    rejects: int = 0
    refusals: int = 0
    corruptions: int = 0
    wipes: int = 0
    full_disks: int = 0
    wrong_clocks: int = 0


SHORT = Faults(
    kills=3,
    stops=1,
    joins=1,
    broker_kills=2,
    cuts=1,
    silences=1,
    delays=1,
    slow=1,
    rejects=1,
    refusals=1,
    corruptions=1,
    wipes=1,
    full_disks=1,
    wrong_clocks=1,
)
LONG = Faults(
    kills=20,
    stops=6,
    joins=8,
    broker_kills=8,
    cuts=6,
    silences=4,
    delays=4,
    slow=6,
    rejects=6,
    refusals=6,
    corruptions=3,
    wipes=3,
    full_disks=3,
    wrong_clocks=4,
)

Episode = list[tuple[float, Action, str, float]]
"""Seconds since its beginning, action, target, amount."""
Kind = Callable[[random.Random, int], tuple[str, Episode]]
"""From chance and the turn among those of its kind: the part of the system, and what happens."""

_SETTLE_SECONDS = 4.0
_KILLED_WHILE_STARTING = 0.25
_WRONG_CLOCKS = (3_540.0, -3_600.0)
"""Brokers refuse records of more than an hour ahead."""


def schedule(faults: Faults, seed: int, *, pause_seconds: float, store: str) -> list[Step]:
    """Steps in the order of their times; the same for the same arguments.

    pause_seconds: mean time between the beginnings of two episodes. store: memory has no disk to
    corrupt, wipe or fill, and none of these is scheduled for it.
    """
    chance = random.Random(seed)
    kinds = list(_kinds(faults, store))
    chance.shuffle(kinds)
    free_at: dict[str, float] = {}
    turns: dict[str, int] = {}
    steps: list[Step] = []
    clock = 1.0
    for kind in kinds:
        turn = turns.get(kind, chance.randrange(len(TOPICS)))
        turns[kind] = turn + 1
        part, episode = _EPISODES[kind](chance, turn)
        begin = max(clock, free_at.get(part, 0.0))
        steps += [
            Step(
                round(begin + after, 3),
                len(steps) + place,
                action,
                target,
                amount,
                _fitness(chance, kind) if place == 0 else Fitness.ANY,
            )
            for place, (after, action, target, amount) in enumerate(episode)
        ]
        free_at[part] = begin + episode[-1][0] + _SETTLE_SECONDS
        clock = begin + pause_seconds * chance.uniform(0.5, 1.5)
    return sorted(steps)


def duration_seconds(steps: list[Step]) -> float:
    """When the last step is due."""
    return steps[-1].at_seconds if steps else 0.0


def _kinds(faults: Faults, store: str) -> Iterator[str]:
    for kind in faults.__struct_fields__:
        if store == "rocksdb" or kind not in ("corruptions", "wipes", "full_disks"):
            yield from [kind] * getattr(faults, kind)


def _fitness(chance: random.Random, kind: str) -> Fitness:
    """Most faults are to meet a system at work; some kills meet one that is only starting."""
    if kind == "joins":
        return Fitness.ANY
    if kind == "kills":
        return Fitness.ANY if chance.random() < _KILLED_WHILE_STARTING else Fitness.TARGET_READY
    if kind in ("broker_kills", "slow", "rejects", "refusals"):
        return Fitness.ALL_READY
    return Fitness.TARGET_READY


def _worker(chance: random.Random) -> str:
    return str(chance.randrange(WORKERS))


def _down_seconds(chance: random.Random) -> float:
    """Mostly back before the group misses it, at times long after."""
    if chance.random() < 0.25:
        return SESSION_SECONDS + chance.uniform(1.0, 3.0)
    return chance.uniform(0.2, 2.0)


def _ends(action: Action, first: Action | None = None, start: Action = Action.START_WORKER) -> Kind:
    def episode(chance: random.Random, turn: int) -> tuple[str, Episode]:
        worker = _worker(chance)
        down = _down_seconds(chance)
        amount = _WRONG_CLOCKS[turn % 2] if start is Action.START_WORKER_SKEWED else 0.0
        steps: Episode = [(0.0, action, worker, 0.0)]
        if first is not None:
            steps.append((0.0, first, worker, 0.0))
        steps.append((down, start, worker, amount))
        return f"worker {worker}", steps

    return episode


def _joins(chance: random.Random, turn: int) -> tuple[str, Episode]:
    leave = (Action.STOP_WORKER, Action.KILL_WORKER)[turn % 2]
    stays = chance.uniform(5.0, 8.0)
    extra = str(EXTRA)
    return "extra", [(0.0, Action.START_WORKER, extra, 0.0), (stays, leave, extra, 0.0)]


def _broker(chance: random.Random, turn: int) -> tuple[str, Episode]:
    target = ("leader", "coordinator", str(chance.randrange(BROKERS)))[turn % 3]
    away = chance.uniform(1.0, 5.0)
    return "brokers", [
        (0.0, Action.KILL_BROKER, target, 0.0),
        (away, Action.RESTART_BROKER, target, 0.0),
    ]


def _network(action: Action, *, can_be_long: bool) -> Kind:
    def episode(chance: random.Random, turn: int) -> tuple[str, Episode]:
        worker = _worker(chance)
        lasts = chance.uniform(1.0, 4.0)
        if can_be_long and turn % 2:
            lasts = SESSION_SECONDS + chance.uniform(2.0, 5.0)
        amount = chance.uniform(0.02, 0.2) if action is Action.DELAY else 0.0
        return f"worker {worker}", [
            (0.0, action, worker, round(amount, 3)),
            (lasts, Action.HEAL, worker, 0.0),
        ]

    return episode


def _produce(action: Action, after: Action) -> Kind:
    def episode(chance: random.Random, turn: int) -> tuple[str, Episode]:
        topic = TOPICS[turn % len(TOPICS)]
        amount = chance.uniform(0.3, 1.5) if action is Action.SLOW else 0.0
        return f"topic {topic}", [
            (0.0, action, topic, round(amount, 3)),
            (chance.uniform(2.0, 4.0), after, topic, 0.0),
        ]

    return episode


_EPISODES: dict[str, Kind] = {
    "kills": _ends(Action.KILL_WORKER),
    "stops": _ends(Action.STOP_WORKER),
    "joins": _joins,
    "broker_kills": _broker,
    "cuts": _network(Action.CUT, can_be_long=True),
    # Never as long as a session: what the network keeps for longer, and then delivers, is beyond
    # any worker.
    "silences": _network(Action.SILENCE, can_be_long=False),
    "delays": _network(Action.DELAY, can_be_long=False),
    "slow": _produce(Action.SLOW, Action.HASTEN),
    "rejects": _produce(Action.REJECT, Action.ALLOW),
    "refusals": _produce(Action.REFUSE, Action.ALLOW),
    "corruptions": _ends(Action.KILL_WORKER, Action.CORRUPT_STATE),
    "wipes": _ends(Action.KILL_WORKER, Action.WIPE_STATE),
    "full_disks": lambda chance, _: (
        f"worker {(worker := _worker(chance))}",
        [(0.0, Action.FILL_DISK, worker, 0.0)],
    ),
    "wrong_clocks": _ends(Action.STOP_WORKER, start=Action.START_WORKER_SKEWED),
}
