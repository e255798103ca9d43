"""Which features of the encoder a log can feed."""

from collections.abc import Sequence

from model.data import DataError, Sequences
from model.features import FEATURE_INPUTS, OF_PLACES, OPT_IN


def usable_features(log: Sequences, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The features asked for, or all that the log can feed but those of OPT_IN.

    DataError for one that it cannot feed.
    """
    can = {
        "event_type": len(log.event_types) > 1,
        "time_gap": log.has_times,
        "hour_of_week": log.has_times,
        **dict.fromkeys(OF_PLACES, bool(log.place_cell.any())),
    }
    if wanted is None:
        return tuple(name for name in FEATURE_INPUTS if can[name] and name not in OPT_IN)
    for feature in wanted:
        if feature not in can:
            message = f"feature {feature!r} is none of {', '.join(can)}"
            raise DataError(message)
        if not can[feature] and feature != "event_type":
            message = f"the data has nothing to feed the feature {feature}: leave it out"
            raise DataError(message)
    return tuple(name for name in FEATURE_INPUTS if name in wanted)
