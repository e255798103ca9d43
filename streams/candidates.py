"""Candidates: which items a list can be made of, and what the graph says of each.

A batch of users is gathered at once. Every out-edge of a user's last items is one *entry*, and so
is every item of the user's history and every popular item that fills up; the entries of one user
and item form one *candidate*, which holds the sums. Entries are brought together by sorting, so
nothing depends on the size of the catalogue, and each user's sums are made of that user's
entries alone, in a fixed order: the same alone as in any batch.
"""

from collections.abc import Sequence
from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.kernels import group_keys, join_edges
from streams.kernels.pure_candidates import find_sorted
from streams.kernels.pure_edges import ITEM_BITS, EdgeColumns
from streams.replica import GraphReplica

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_TINY = 1e-300


class UserEvidence(msgspec.Struct, gc=False):
    """What one user's candidates come from."""

    now_ms: int
    sources: list[str]
    """Last distinct items of interest, newest first: where the graph is entered."""
    own_items: list[str]
    """Items of the user's history, newest first, repeats included; empty to leave them out."""
    fill_items: Sequence[int]
    """Numbers of items that are candidates whatever the graph says: popular ones."""


class Candidates(msgspec.Struct, frozen=True, gc=False):
    """The candidates of a batch, ordered by (user, item number)."""

    start: Integers
    """`[users + 1]`: the candidates of user `u` are `start[u]` up to `start[u + 1]`."""
    keys: Integers
    """`[candidates]`: user << 32 | item number, ascending."""
    items: Integers
    """`[candidates]`: item number."""
    graph: Floats
    """`[candidates]`: share of the user's graph evidence; a user's shares sum to 1, or are 0."""
    terms: dict[str, Floats]
    """`[candidates]` each: what else was asked for, by the name of its weight in the blend."""
    entry_start: Integers
    """`[candidates + 1]`: the entries of candidate `c` are `entries[entry_start[c]]` up to the
    next candidate's."""
    entries: Integers
    """Numbers of entries. Below `len(edges.contributions)` an entry is that edge."""
    edges: EdgeColumns

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def own(self) -> Floats | None:
        """`[candidates]`: share of the user's own history; None where nobody's was asked for."""
        return self.terms.get("own")

    def shares_of_last(self) -> Floats:
        """`[candidates]`: share of what followed the user's last item."""
        found = self.terms.get("graph_last")
        if found is None:
            values = np.zeros(len(self.entries))
            values[: len(self.edges.contributions)] = _from_last(self.edges)
            owner = np.repeat(np.arange(len(self)), np.diff(self.entry_start))
            found = _sums(owner, values[self.entries], len(self))
        return found

    def find(self, keys: Integers) -> Integers:
        """Positions of candidates by key, -1 where there is none."""
        return find_sorted(self.keys, keys)


def make_keys(rows: Integers, items: Integers) -> Integers:
    """Keys of candidates; ascending keys are ordered by user, then item number."""
    return (rows << ITEM_BITS) | items


def gather(
    replica: GraphReplica,
    users: Sequence[UserEvidence],
    *,
    window_decay: float,
    own_decay: float,
    terms: frozenset[str] = frozenset({"own"}),
) -> Candidates:
    """Candidates of a batch of users.

    A source counts `window_decay` times its newer neighbour in the window, and an event of the
    user's own history `own_decay` times the next newer one. `terms`: which of `graph_last` and the
    own-history terms of `model.blend` are wanted.
    """
    edge_keys, edges = _edges(replica, users, window_decay)
    own_keys, own = _own_entries(replica, users, own_decay, terms)
    fill = np.array(
        [row << ITEM_BITS | item for row, user in enumerate(users) for item in user.fill_items],
        dtype=np.int64,
    )
    columns = {"graph": (edges.contributions, 0)}
    columns |= {name: (values, len(edge_keys)) for name, values in own.items()}
    if "graph_last" in terms and len(edge_keys):
        columns["graph_last"] = (_from_last(edges), 0)
    keys = np.concatenate((edge_keys, own_keys, fill))
    grouped, start, items = group_keys(keys, len(users), list(columns.values()))
    found = dict(zip(columns, grouped.sums, strict=True))
    return Candidates(
        start=start,
        keys=grouped.keys,
        items=items,
        graph=found.pop("graph"),
        terms=found,
        entry_start=grouped.start,
        entries=grouped.entries,
        edges=edges,
    )


_NO_INTEGERS = np.empty(0, dtype=np.int64)
_NO_FLOATS = np.empty(0)


def _edges(
    replica: GraphReplica, users: Sequence[UserEvidence], window_decay: float
) -> tuple[Integers, EdgeColumns]:
    """All out-edges of each user's sources: their keys, and what they are."""
    # A pair is one source item of one user.
    pairs: list[bytes] = []
    pair_rows: list[int] = []
    pair_sources: list[int] = []
    importance: list[float] = []
    for row, user in enumerate(users):
        found = replica.packed_edges_of(user.sources)
        places: Sequence[int] = range(len(found))
        if b"" in found:
            places = [place for place in places if found[place]]
            found = [found[place] for place in places]
        pairs += found
        pair_rows += [row] * len(found)
        pair_sources += places
        importance += _importance(window_decay, tuple(places))
    if not pairs:
        nothing, none = _NO_INTEGERS, _NO_FLOATS
        return nothing, EdgeColumns(none, nothing, nothing, nothing, none)
    rows = np.array(pair_rows, dtype=np.int64)
    sources = np.array(pair_sources, dtype=np.int64)
    now_ms = np.array([user.now_ms for user in users], dtype=np.float64)
    weights = np.array(importance)
    keys, contributions, last_ms, start = join_edges(pairs, rows, now_ms, weights)
    return keys, EdgeColumns(contributions, last_ms, start, sources, weights)


@lru_cache(maxsize=1024)
def _importance(decay: float, places: tuple[int, ...]) -> list[float]:
    """How much the sources at these places count, all of them together 1."""
    powers: list[float] = np.power(decay, np.array(places, dtype=np.int64)).tolist()
    whole = 0.0
    for power in powers:
        whole += power
    whole = max(whole, _TINY)
    return [power / whole for power in powers]


def _from_last(edges: EdgeColumns) -> Floats:
    """`[edges]`: share of what followed the user's last item; 0 for edges of other sources."""
    degrees = np.diff(np.append(edges.pair_start, len(edges.contributions)))
    weight = np.divide(1.0, edges.pair_importance, where=edges.pair_source == 0,
                       out=np.zeros(len(degrees)))  # fmt: skip
    shares: Floats = edges.contributions * np.repeat(weight, degrees)
    return shares


def _own_entries(
    replica: GraphReplica,
    users: Sequence[UserEvidence],
    own_decay: float,
    terms: frozenset[str],
) -> tuple[Integers, dict[str, Floats]]:
    """One entry for each event of each user's own history: keys, and values by term."""
    if not any(user.own_items for user in users):
        return _NO_INTEGERS, {}
    lengths = np.array([len(user.own_items) for user in users], dtype=np.int64)
    index_all = replica.ids.index_all
    items = np.array([n for user in users for n in index_all(user.own_items)], dtype=np.int64)
    rows = np.repeat(np.arange(len(users)), lengths)
    starts = np.cumsum(lengths) - lengths
    age = np.arange(len(items)) - np.repeat(starts, lengths)
    keys = make_keys(rows, items)
    found: dict[str, Floats] = {}

    def shares(weights: Floats) -> Floats:
        totals = _sums(rows, weights, len(users))
        return weights / np.maximum(totals, _TINY)[rows]

    if terms & {"own", "own_next"}:
        decayed = np.power(own_decay, age)
        if "own" in terms:
            found["own"] = shares(decayed)
        if "own_next" in terms:
            # What stood before an event is the next entry, if it is the same user's.
            before = np.append(items[1:], -1)
            before[(starts + lengths - 1)[lengths > 0]] = -1
            last = np.repeat(items[np.minimum(starts, len(items) - 1)], lengths)
            found["own_next"] = shares(np.where(before == last, decayed, 0.0))
    if "own_frequency" in terms:
        found["own_frequency"] = np.repeat(1.0 / np.maximum(lengths, 1), lengths)
    if "last" in terms:
        found["last"] = (age == 0).astype(np.float64)
    if terms & {"seen", "own_recency"}:
        newest = np.zeros(len(keys), dtype=np.bool_)
        newest[np.unique(keys, return_index=True)[1]] = True
        if "seen" in terms:
            found["seen"] = newest.astype(np.float64)
        if "own_recency" in terms:
            place = np.cumsum(newest, dtype=np.int64)
            place -= np.repeat((place - newest)[np.minimum(starts, len(items) - 1)], lengths)
            found["own_recency"] = np.where(newest, 1.0 / np.maximum(place, 1), 0.0)
    return keys, found


def _sums(groups: Integers, values: Floats, count: int) -> Floats:
    """Sum of the values of each group `[count]`, added in their order."""
    return np.bincount(groups, values, count).astype(np.float64, copy=False)
