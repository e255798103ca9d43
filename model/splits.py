"""Which events a training learns from, which it chooses by, and which it must not see.

What is held out for the test does not depend on `data_share`: shares of the data are compared on
the same test events.
"""

import math

import numpy as np

from model.data import (
    BoolArray,
    DataError,
    Sequences,
    Split,
    last_event_validation,
    leave_one_out,
    temporal,
)

SPLITS = ("leave-one-out", "temporal", "none")


def make_split(
    log: Sequences,
    split: str,
    *,
    test_fraction: float,
    validation_fraction: float,
    data_share: float = 1.0,
) -> Split:
    """As `parted`; DataError if nothing is left to validate on."""
    found = parted(
        log,
        split,
        test_fraction=test_fraction,
        validation_fraction=validation_fraction,
        data_share=data_share,
    )
    if not len(found.validation):
        message = "no user has enough events to validate on: bring users with three or more"
        raise DataError(message)
    return found


def parted(
    log: Sequences,
    split: str,
    *,
    test_fraction: float,
    validation_fraction: float,
    data_share: float = 1.0,
) -> Split:
    """The events held out under one of SPLITS, which may be none.

    data_share: of the events that are not test events, only the oldest so many are there to learn
    from and to validate on, as if the log were that young. Rows of order-only data count as older
    the further up they stand: a share of them is a share of the users.
    """
    if split not in SPLITS:
        message = f"split {split!r} is none of {', '.join(SPLITS)}"
        raise ValueError(message)
    if not 0.0 < data_share <= 1.0:
        message = f"the share of the data must lie between 0 and 1, not be {data_share}"
        raise ValueError(message)
    if split == "temporal":
        return temporal(
            log,
            test_fraction=test_fraction,
            validation_fraction=validation_fraction,
            data_share=data_share,
        )
    found = leave_one_out(log) if split == "leave-one-out" else last_event_validation(log)
    return _of_the_oldest(log, found, data_share) if data_share < 1.0 else found


def learned(split: Split) -> BoolArray:
    """[N] the events that training reads: what it learns from and what it chooses by."""
    events = split.train.copy()
    events[split.validation] = True
    return events


def _of_the_oldest(log: Sequences, split: Split, share: float) -> Split:
    """The same test; of the oldest `share` of the other events each user's last validates."""
    others = learned(split)
    ranks = np.sort(log.rank[others])
    there = others & (log.rank <= ranks[math.ceil(share * len(ranks)) - 1])
    counts = np.add.reduceat(there.astype(np.int64), log.starts[:-1])
    last = (log.starts[:-1] + counts - 1)[counts >= 2]
    train = there.copy()
    train[last] = False
    return Split(train, last, split.test)
