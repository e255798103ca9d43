"""Event types: the registry and its refusals."""

import math

import pytest

from streams.event_types import DEFAULT_EVENT_TYPES, EventType, EventTypes


def test_the_ten_default_types_are_known() -> None:
    assert EventTypes().names == {
        "view",
        "click",
        "like",
        "add_to_cart",
        "purchase",
        "check_in",
        "message",
        "dislike",
        "not_interested",
        "impression",
    }


def test_only_positive_types_weigh() -> None:
    types = EventTypes([EventType("a", 2.0, 60.0, 1), EventType("b", 2.0, 60.0, -1)])
    assert (types.weight("a"), types.weight("b")) == (2.0, 0.0)
    assert (types.is_positive("a"), types.is_positive("b")) == (True, False)
    assert (types.is_negative("a"), types.is_negative("b")) == (False, True)


def test_an_impression_is_neither_positive_nor_negative() -> None:
    types = EventTypes()
    assert not types.is_positive("impression")
    assert not types.is_negative("impression")


def test_a_name_that_is_no_longer_configured_is_neutral() -> None:
    types = EventTypes()
    assert types.get("gone") is None
    assert types.weight("gone") == 0.0
    assert types.half_life_ms("gone") == 7 * 86_400_000
    assert not types.is_positive("gone")
    assert not types.is_negative("gone")


def test_half_lives_are_in_milliseconds() -> None:
    assert EventTypes([EventType("a", 1.0, 90.0, -1)]).half_life_ms("a") == 90_000


@pytest.mark.parametrize(
    ("event_type", "sentence"),
    [
        (EventType("", 1.0, 60.0, 1), "printable"),
        (EventType("a\n", 1.0, 60.0, 1), "printable"),
        (EventType("x" * 65, 1.0, 60.0, 1), "printable"),
        (EventType("a", -1.0, 60.0, 1), "weight"),
        (EventType("a", math.nan, 60.0, 1), "weight"),
        (EventType("a", 1.0, 0.0, 1), "half_life_seconds"),
        (EventType("a", 1.0, math.inf, 1), "half_life_seconds"),
        (EventType("a", 1.0, 60.0, 2), "polarity"),
    ],
)
def test_an_unusable_type_is_refused_with_the_setting_to_change(
    event_type: EventType, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        EventTypes([event_type])


def test_a_type_defined_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        EventTypes([DEFAULT_EVENT_TYPES[0], DEFAULT_EVENT_TYPES[0]])


def test_an_empty_registry_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        EventTypes([])


def test_registries_of_the_same_types_are_equal_and_say_what_they_hold() -> None:
    assert EventTypes() == EventTypes(reversed(DEFAULT_EVENT_TYPES))
    assert hash(EventTypes()) == hash(EventTypes(reversed(DEFAULT_EVENT_TYPES)))
    assert EventTypes() != EventTypes(DEFAULT_EVENT_TYPES[:2])
    assert repr(EventTypes(DEFAULT_EVENT_TYPES[:2])) == "EventTypes(view, click)"
