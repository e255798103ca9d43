"""A good click, the limits it is checked against, and what comes of a click that is like it."""

import json
from typing import Any

from streams.event_types import EventTypes
from streams.events import Click, ClickLimits, Reject, decode_click

DAY_MS = 86_400_000
NOW_MS = 1_769_860_800_123  # 2026-01-31T12:00:00.123Z
LIMITS = ClickLimits(max_age_ms=30 * DAY_MS, event_types=EventTypes().names)
GOOD = {"user_id": "u1", "item_id": "i42", "timestamp": NOW_MS}


def decode(body: object, headers: Any = (), limits: ClickLimits = LIMITS) -> Click | Reject:
    value = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode_click(value, headers, NOW_MS, limits)


def accepted(body: object, headers: Any = ()) -> Click:
    click = decode(body, headers)
    assert isinstance(click, Click), click
    return click
