"""Strong baselines from other people's libraries: EASE and item-based nearest neighbours.

Both are order-free: a list depends on which items a user has had, not on when. What they add to a
report is a yardstick that this project did not write. `pip install 'freshrec[bench]'`.

- EASE: Steck, Embarrassingly Shallow Autoencoders for Sparse Data (WWW 2019), by `easey`. Its
  weights come from the inverse of an (items x items) matrix, so there is a bound on items.
- ItemKNN: cosine of items over users (Sarwar et al., WWW 2001), by `implicit`.
"""

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.data import Sequences

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

EASE_L2 = 500.0  # the paper's choice for MovieLens-20M
EASE_MAX_ITEMS = 10_000  # (items x items) in 32 bits: 0.4 GB, and a few of them while it is fitted
KNN_NEIGHBOURS = 100


class NotAvailable(RuntimeError):  # noqa: N818 - not a fault: the report goes on without
    """A baseline cannot be had here; the message is one sentence that says why."""


class ReferenceBaseline(NamedTuple):
    """A fitted item-to-item method: a user's score of an item is a sum over what they have had."""

    weights: Any  # (items, items), dense or scipy sparse: from an item had to an item scored
    known: BoolArray  # (items,) what the method has seen; the rest is on none of its lists
    settings: Mapping[str, object]

    def scores(self, log: Sequences, events: IntArray) -> FloatArray:
        """(n, items) what each event could have been, from the same user's earlier events."""
        from scipy.sparse import csr_array

        pasts = [np.unique(log.item[log.starts[log.user[e]] : e]) for e in events.tolist()]
        ends = np.cumsum([0, *(len(past) for past in pasts)])
        columns = np.concatenate([np.zeros(0, np.int64), *pasts])
        had = csr_array(
            (np.ones(len(columns), np.float32), columns, ends),
            shape=(len(events), len(log.items)),
        )
        found = had @ self.weights
        dense = found if isinstance(found, np.ndarray) else found.toarray()
        scores: FloatArray = np.where(self.known, dense, -np.inf).astype(np.float32)
        return scores


def fit_ease(log: Sequences, train: BoolArray, *, threads: int = 1) -> ReferenceBaseline:
    """EASE on which users had which items in the events `train` [N].

    NotAvailable without easey, or for more than EASE_MAX_ITEMS items. The inverse is numpy's, so
    `threads` has no say in it.
    """
    del threads
    if len(log.items) > EASE_MAX_ITEMS:
        message = f"EASE inverts (items x items), here for {EASE_MAX_ITEMS} items at most"
        raise NotAvailable(message)
    try:
        from easey import EASE
    except ImportError as error:
        message = "easey is not installed: pip install 'freshrec[bench]'"
        raise NotAvailable(message) from error
    user, item = _pairs(log, train)
    ones = np.ones(len(user), np.float32)
    fitted = EASE(lambda_=EASE_L2).fit({"user": user, "item": item, "rating": ones})
    weights = np.zeros((len(log.items), len(log.items)), np.float32)
    weights[np.ix_(fitted.I, fitted.I)] = fitted.B
    known = np.zeros(len(log.items), np.bool_)
    known[fitted.I] = True
    return ReferenceBaseline(weights, known, {"library": _version("easey"), "l2": EASE_L2})


def fit_item_knn(log: Sequences, train: BoolArray, *, threads: int = 1) -> ReferenceBaseline:
    """The KNN_NEIGHBOURS nearest items of each, on the events `train` [N].

    NotAvailable without implicit.
    """
    try:
        from implicit.nearest_neighbours import CosineRecommender
        from implicit.utils import ParameterWarning
        from scipy.sparse import csr_matrix
    except ImportError as error:
        message = "implicit is not installed: pip install 'freshrec[bench]'"
        raise NotAvailable(message) from error
    user, item = _pairs(log, train)
    shape = (len(log.users), len(log.items))
    had = csr_matrix((np.ones(len(user), np.float64), (user, item)), shape=shape)
    fitted = CosineRecommender(K=KNN_NEIGHBOURS, num_threads=threads)
    with warnings.catch_warnings():
        # It warns of a conversion of the matrix that it made itself.
        warnings.simplefilter("ignore", ParameterWarning)
        fitted.fit(had, show_progress=False)
    known = np.zeros(len(log.items), np.bool_)
    known[item] = True
    weights = fitted.similarity.astype(np.float32)
    settings = {"library": _version("implicit"), "neighbours": KNN_NEIGHBOURS}
    return ReferenceBaseline(weights, known, settings)


FITS: Mapping[str, Callable[..., ReferenceBaseline]] = {"ease": fit_ease, "item_knn": fit_item_knn}


def _pairs(log: Sequences, train: BoolArray) -> tuple[IntArray, IntArray]:
    """Each (user, item) of the events once: both methods know whether, not how often."""
    items = len(log.items)
    code = np.unique(log.user[train] * items + log.item[train])
    if not len(code):
        message = "there is no event to learn from"
        raise NotAvailable(message)
    return code // items, code % items


def _version(library: str) -> str:
    from importlib.metadata import version

    return f"{library} {version(library)}"
