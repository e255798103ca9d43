"""Items kept out of training, to measure what an artefact makes of items it has never seen.

Which ones is a matter of a hash of the item id: the same in training and in evaluation, with
nothing to store but share and seed.
"""

import hashlib
from typing import NamedTuple

import numpy as np

from model.data import DataError, Event, Sequences, sequences


class HeldOutItems(NamedTuple):
    """A share of all items, chosen by hash."""

    share: float  # 0..1
    seed: int = 0

    def has(self, item_id: str) -> bool:
        """Whether an item is held out."""
        digest = hashlib.sha256(f"{self.seed}:{item_id}".encode()).digest()
        return int.from_bytes(digest[:8]) < self.share * 2.0**64


def without_items(log: Sequences, held_out: HeldOutItems) -> Sequences:
    """The log as if the held-out items had never existed: not one event of theirs is left.

    DataError if nothing else is.
    """
    if not 0.0 < held_out.share < 1.0:
        message = f"the share of held-out items must lie between 0 and 1, not be {held_out.share}"
        raise DataError(message)
    is_out = np.array([held_out.has(item) for item in log.items], np.bool_)
    # In the order of the log, so that equal timestamps stay in their order.
    kept = np.argsort(log.rank)
    kept = kept[~is_out[log.item[kept]]]
    return sequences(
        (
            Event(log.users[user], log.items[item], time_ms, log.event_types[event_type], cell)
            for user, item, time_ms, event_type, cell in zip(
                log.user[kept].tolist(),
                log.item[kept].tolist(),
                log.time_ms[kept].tolist(),
                log.event_type[kept].tolist(),
                log.place_cell[kept].tolist(),
                strict=True,
            )
        ),
        has_times=log.has_times,
    )
