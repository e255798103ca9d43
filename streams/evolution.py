"""How a user's behaviour evolved: sessions, drift between them, interest now and before.

A pause longer than a gap ends a session. Thirty minutes is the convention of web analytics, after
the 25.5 minutes of Catledge and Pitkow ("Characterizing browsing strategies", 1995); Halfaker et
al. ("User session identification", WWW 2015) find an hour where people read and edit, so the gap
is an argument.

Drift is the Jensen–Shannon distance (Lin, "Divergence measures based on the Shannon entropy",
1991; a metric by Endres and Schindelin, 2003) of what two sessions are about. Sessions are short,
and two short samples of one taste differ a lot, so a distance says little alone: it stands beside
what it is on average when the same events are dealt out to both sessions at random, and the share
of such deals that give as much (a permutation test, never 0 by Phipson and Smyth, 2010).
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import compress, pairwise
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from streams.event_types import EventTypes
from streams.window import HistoryView, Window

Floats = NDArray[np.float64]
Key = TypeVar("Key", str, int)
Amount = TypeVar("Amount", int, float)

MAX_EVENTS = 1_000
"""Of a longer window the newest are looked at."""

MOST_CATEGORIES = 16
"""Of an item the first ones count: a catalogue record of 64 KiB can hold 20,000."""

MAX_STEPS = 50
"""From session to session; the newest are compared, since each is a test of its own."""

PERMUTATIONS = 200
TOP_OF_SESSION = 5
TOP_OF_INTEREST = 20

_ROUNDING = 1e-12  # divergences of two deals of the same events differ by less
_MOST_CELLS = 1 << 18  # numbers of one array, 2 MiB: labels beyond are taken in parts


class Session(NamedTuple):
    """Events with no pause longer than the gap: counts, the most frequent first."""

    start_ms: int
    end_ms: int
    events: int
    event_types: list[tuple[str, int]]
    items: list[tuple[str, int]]
    """Of positive events; at most `TOP_OF_SESSION`."""
    categories: list[tuple[str, float]]
    """Shares of the positive events whose item has one; at most `TOP_OF_SESSION`."""
    place_cells: list[tuple[int, int]]


class Drift(NamedTuple):
    """Distance of two label distributions, its mean by chance, and how often chance gives as much.

    distance, expected: 0..1. p_value: above 0, at most 1.
    """

    distance: float
    expected: float
    p_value: float


class Interest(NamedTuple):
    """A label's share of the half-life-weighted interest, now and as the last session began."""

    label: str
    now: float
    before: float


class Evolution(NamedTuple):
    """What became of a user's behaviour; sessions oldest first.

    drift: one entry less than there are sessions, None where one of two has no label, and before
    the newest `MAX_STEPS`.
    """

    measured_on: Literal["categories", "items"]
    sessions: list[Session]
    drift: list[Drift | None]
    interest: list[Interest]


def timeline(window: Window) -> HistoryView:
    """Every event of a window, whatever its type, sorted by (event time, arrival)."""
    times = window.times_ms()
    count = len(times)
    extra = window.extra
    kinds = None if extra is None else extra.kinds
    places = None if extra is None else extra.places
    order = sorted(range(count), key=times.__getitem__)[-MAX_EVENTS:]
    types = window.types
    return HistoryView(
        [window.items[entry] for entry in order],
        [types[0 if kinds is None else kinds[entry]] for entry in order],
        array("q", [times[entry] for entry in order]),
        [0 if places is None else places[entry] for entry in order],
    )


def evolution(
    events: HistoryView,
    categories: Callable[[str], Sequence[str]],
    event_types: EventTypes,
    *,
    gap_ms: int,
    at_ms: int,
    rng: np.random.Generator,
    permutations: int = PERMUTATIONS,
) -> Evolution:
    """The evolution over events sorted by time. `categories`: of an item, none where unknown; the
    first `MOST_CATEGORIES` count.

    Drift and interest are of events that express interest (what was only shown says nothing of the
    user), over categories, over items where no category is known; an event of an item with several
    categories counts for each in equal parts. The same events and the same state of `rng` give the
    same answer.
    """
    spans = sessions(events.times_ms, gap_ms)
    positive = [event_types.is_positive(kind) for kind in events.event_types]
    labels: list[tuple[str, ...]] = [
        tuple(dict.fromkeys(categories(item)[:MOST_CATEGORIES])) if of_interest else ()
        for item, of_interest in zip(events.items, positive, strict=True)
    ]
    of_categories = any(labels)
    measured: list[tuple[str, ...]] = labels
    if not of_categories:
        measured = [
            (item,) if of_interest else ()
            for item, of_interest in zip(events.items, positive, strict=True)
        ]
    steps = list(pairwise(spans))
    drifts: list[Drift | None] = [None] * max(0, len(steps) - MAX_STEPS)
    drifts += [
        drift(measured[a.start : a.stop], measured[b.start : b.stop], rng, permutations)
        for a, b in steps[-MAX_STEPS:]
    ]
    return Evolution(
        "categories" if of_categories else "items",
        [_session(events, positive, labels, span) for span in spans],
        drifts,
        _interest(events, measured, event_types, spans[-1].start if spans else 0, at_ms),
    )


def sessions(times_ms: Sequence[int], gap_ms: int) -> list[slice]:
    """Positions of each session in ascending event times; together they cover all, in order."""
    starts = [
        position
        for position, time_ms in enumerate(times_ms)
        if not position or time_ms - times_ms[position - 1] > gap_ms
    ]
    return [slice(start, stop) for start, stop in pairwise([*starts, len(times_ms)])]


def drift(
    former: Sequence[Sequence[str]],
    latter: Sequence[Sequence[str]],
    rng: np.random.Generator,
    permutations: int = PERMUTATIONS,
) -> Drift | None:
    """From the labels of each event of one session to those of another; None: one has no labels.

    Takes some 20 MiB, however many labels there are.
    """
    rows = [labels for labels in (*former, *latter) if labels]
    first = sum(1 for labels in former if labels)
    if not 0 < first < len(rows):
        return None
    # Which events fall to the first session: as it was, then at random, as many every time.
    deals = np.zeros((1 + permutations, len(rows)))
    deals[0, :first] = 1.0
    chosen = rng.random((permutations, len(rows))).argsort(axis=1)[:, :first]
    np.put_along_axis(deals[1:], chosen, 1.0, axis=1)
    divergences = np.zeros(1 + permutations)
    # A divergence is a sum over labels, so that parts of them give it as well as all at once.
    for weights in _label_weights(rows, max(1, _MOST_CELLS // max(deals.shape))):
        of_first = deals @ weights
        of_second = weights.sum(axis=0) - of_first
        divergences += _divergence(of_first / first, of_second / (len(rows) - first))
    distances = _distance(divergences)
    observed = float(distances[0])
    as_much = int((divergences[1:] >= divergences[0] - _ROUNDING).sum())
    expected = float(distances[1:].mean()) if permutations else observed
    return Drift(observed, expected, (1 + as_much) / (1 + permutations))


def jensen_shannon(p: Floats, q: Floats) -> Floats:
    """Distances of distributions along the last axis, base 2: 0 of equals, 1 of disjoint ones."""
    return _distance(_divergence(p, q))


def _divergence(p: Floats, q: Floats) -> Floats:
    """In bits, of distributions or of parts of them along the last axis."""
    both = p + q  # twice the mean: half of the smallest number would be 0
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0.0, p * (1.0 + np.log2(p / both)), 0.0)
        terms += np.where(q > 0.0, q * (1.0 + np.log2(q / both)), 0.0)
    divergence: Floats = terms.sum(axis=-1) / 2.0
    return divergence


def _distance(divergence: Floats) -> Floats:
    return np.sqrt(np.clip(divergence, 0.0, 1.0))


def _label_weights(rows: Sequence[Sequence[str]], most_labels: int) -> Iterator[Floats]:
    """`[events, labels]`, `most_labels` at a time: an event has weight 1, in equal parts on its
    labels.
    """
    numbers: dict[str, int] = {}
    columns = np.array([numbers.setdefault(name, len(numbers)) for row in rows for name in row])
    lengths = np.array([len(labels) for labels in rows])
    events = np.repeat(np.arange(len(rows)), lengths)
    shares = np.repeat(1.0 / lengths, lengths)
    for start in range(0, len(numbers), most_labels):
        weights = np.zeros((len(rows), min(most_labels, len(numbers) - start)))
        inside = (columns >= start) & (columns < start + most_labels)
        weights[events[inside], columns[inside] - start] = shares[inside]
        yield weights


def _session(
    events: HistoryView, positive: Sequence[bool], labels: Sequence[tuple[str, ...]], span: slice
) -> Session:
    times = events.times_ms[span]
    shares: dict[str, float] = {}
    labelled = [of_event for of_event in labels[span] if of_event]
    for of_event in labelled:
        for label in of_event:
            shares[label] = shares.get(label, 0.0) + 1.0 / (len(of_event) * len(labelled))
    return Session(
        times[0],
        times[-1],
        len(times),
        _most(Counter(events.event_types[span])),
        _most(Counter(compress(events.items[span], positive[span])))[:TOP_OF_SESSION],
        _most(shares)[:TOP_OF_SESSION],
        _most(Counter(cell for cell in events.place_cells[span] if cell)),
    )


def _interest(
    events: HistoryView,
    labels: Sequence[tuple[str, ...]],
    event_types: EventTypes,
    last_start: int,
    at_ms: int,
) -> list[Interest]:
    now = _interest_shares(events, labels, event_types, len(labels), at_ms)
    before: dict[str, float] = {}
    if last_start:
        before_ms = events.times_ms[last_start]
        before = _interest_shares(events, labels, event_types, last_start, before_ms)
    ranked = sorted(
        now | before, key=lambda label: (-max(now.get(label, 0.0), before.get(label, 0.0)), label)
    )
    return [
        Interest(label, now.get(label, 0.0), before.get(label, 0.0))
        for label in ranked[:TOP_OF_INTEREST]
    ]


def _interest_shares(
    events: HistoryView,
    labels: Sequence[tuple[str, ...]],
    event_types: EventTypes,
    stop: int,
    at_ms: int,
) -> dict[str, float]:
    """Share by label of the first `stop` events' weights, decayed to `at_ms`."""
    weights: dict[str, float] = {}
    for entry in range(stop):
        kind = events.event_types[entry]
        age = max(0, at_ms - events.times_ms[entry]) / event_types.half_life_ms(kind)
        weight = event_types.weight(kind) * 2.0**-age
        for label in labels[entry]:
            weights[label] = weights.get(label, 0.0) + weight / len(labels[entry])
    total = sum(weights.values())
    if not total > 0.0:
        return {}
    return {label: min(1.0, weight / total) for label, weight in weights.items()}


def _most(amounts: Mapping[Key, Amount]) -> list[tuple[Key, Amount]]:
    """Entries with the most first, ties by name."""
    return sorted(amounts.items(), key=lambda entry: (-entry[1], entry[0]))
