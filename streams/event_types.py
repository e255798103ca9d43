"""The event types a click can have: how much each counts, for how long, and in which direction.

The set is open: a deployment names its own types. State stores type *names*, so a blob written
under one configuration is read correctly under another; a stored name that is no longer
configured is neutral, never an error.
"""

import math
from collections.abc import Iterable

import msgspec

DEFAULT_HALF_LIFE_SECONDS = 7 * 86_400.0
_MS_PER_SECOND = 1000.0


class EventType(msgspec.Struct, frozen=True):
    """One kind of event.

    weight: contribution of one event to popularity and, divided by distance, to a graph edge.
    half_life_seconds: time after which that contribution counts half.
    polarity: +1 interest, 0 neutral (the user only saw the item), -1 aversion.
    """

    name: str
    weight: float
    half_life_seconds: float
    polarity: int


_DAY_SECONDS = 86_400.0
DEFAULT_EVENT_TYPES: tuple[EventType, ...] = (
    EventType("view", 0.5, 3 * _DAY_SECONDS, 1),
    EventType("click", 1.0, 7 * _DAY_SECONDS, 1),
    EventType("like", 2.0, 14 * _DAY_SECONDS, 1),
    EventType("add_to_cart", 3.0, 7 * _DAY_SECONDS, 1),
    EventType("purchase", 5.0, 30 * _DAY_SECONDS, 1),
    EventType("check_in", 2.0, 30 * _DAY_SECONDS, 1),
    EventType("message", 1.0, 7 * _DAY_SECONDS, 1),
    EventType("dislike", 0.0, 30 * _DAY_SECONDS, -1),
    EventType("not_interested", 0.0, 30 * _DAY_SECONDS, -1),
    EventType("impression", 0.0, 1 * _DAY_SECONDS, 0),
)


class EventTypes:
    """Immutable registry of event types, looked up by name.

    effects maps a name to (weight, half-life in ms) and holds positive types only: the folds
    read it directly, because one dictionary look-up per click is all they can afford.
    """

    __slots__ = ("_types", "effects", "names", "negative_names", "positive_names")

    def __init__(self, types: Iterable[EventType] = DEFAULT_EVENT_TYPES) -> None:
        """Raise ValueError, with a sentence that says what to change, on an unusable type."""
        self._types: dict[str, EventType] = {}
        for event_type in types:
            _check(event_type)
            if event_type.name in self._types:
                raise ValueError(
                    f"event type {event_type.name!r} is defined twice: keep one of the two"
                )
            self._types[event_type.name] = event_type
        if not self._types:
            raise ValueError("no event type is defined: define at least one")
        self.names: frozenset[str] = frozenset(self._types)
        self.positive_names: frozenset[str] = frozenset(
            t.name for t in self._types.values() if t.polarity > 0
        )
        self.negative_names: frozenset[str] = frozenset(
            t.name for t in self._types.values() if t.polarity < 0
        )
        self.effects: dict[str, tuple[float, float]] = {
            t.name: (t.weight, t.half_life_seconds * _MS_PER_SECOND)
            for t in self._types.values()
            if t.polarity > 0
        }

    def get(self, name: str) -> EventType | None:
        """The configured type of this name, None where it is not configured."""
        return self._types.get(name)

    def weight(self, name: str) -> float:
        """Contribution of one event; 0.0 for neutral, negative and unknown types."""
        effect = self.effects.get(name)
        return effect[0] if effect is not None else 0.0

    def half_life_ms(self, name: str) -> float:
        """Half-life in milliseconds; the default one for an unknown type."""
        event_type = self._types.get(name)
        seconds = DEFAULT_HALF_LIFE_SECONDS if event_type is None else event_type.half_life_seconds
        return seconds * _MS_PER_SECOND

    def is_positive(self, name: str) -> bool:
        """True for a configured type that expresses interest."""
        return name in self.positive_names

    def is_negative(self, name: str) -> bool:
        """True for a configured type that expresses aversion."""
        return name in self.negative_names

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EventTypes) and self._types == other._types

    def __hash__(self) -> int:
        return hash(frozenset(self._types.values()))

    def __repr__(self) -> str:
        return f"EventTypes({', '.join(self._types)})"


def _check(event_type: EventType) -> None:
    name = event_type.name
    if not name or not name.isprintable() or len(name) > 64:
        raise ValueError(
            f"event type name {name[:80]!r} is not usable: give it 1 to 64 printable characters"
        )
    if not (math.isfinite(event_type.weight) and 0.0 <= event_type.weight <= 1e6):
        raise ValueError(f"event type {name!r}: weight must be between 0 and 1,000,000")
    if not (math.isfinite(event_type.half_life_seconds) and event_type.half_life_seconds >= 1.0):
        raise ValueError(f"event type {name!r}: half_life_seconds must be finite and at least 1")
    if event_type.polarity not in (-1, 0, 1):
        raise ValueError(f"event type {name!r}: polarity must be 1, 0 or -1")
