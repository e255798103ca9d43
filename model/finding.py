"""What a check of a log found."""

from typing import Literal, NamedTuple

Severity = Literal["info", "warning", "error"]


class Finding(NamedTuple):
    """What one check found. `count` events, users or items, as `detail` says; `share` of them."""

    name: str
    severity: Severity
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody asks for
    share: float
    detail: str
    advice: str = ""


def not_judged(name: str) -> Finding:
    """The finding of a check of times, where a log has none."""
    return Finding(name, "info", 0, 0.0, "not judged: the data has an order but no times")
