"""The kernels in Python: what they mean, and what runs where nothing was compiled."""

from array import array
from collections.abc import Callable
from itertools import compress, count
from math import floor, ldexp
from typing import NamedTuple, Protocol, TypeVar

from streams.popularity import Popularity, add


class Edges(Protocol):
    """Edges of one event type, as columns (`streams.edges.TypeEdges`)."""

    base: int
    half_life_ms: float
    slots: dict[str, int]
    weights: "array[float]"
    last_seconds: "array[int]"
    counts: "array[int]"


class FollowingClicks(NamedTuple):
    """Clicks of a batch, ready to be added to the items before them; compiled kernels read these
    fields by their places.

    The columns are those of `streams.kernels.pure_links.Columns`. By event type: weights and
    half_lives_ms, 0.0 and anything for one that links nothing, each an array("d").

    A contribution of weight w at time t is w * 2^(t/h) = mantissa * 2^power, with a whole power:
    scaling by a difference of powers is exact, so an edge gets the same bits whatever else is
    folded in the same batch. By row: powers, an array("q"), and mantissas, an array("d").
    """

    item_ids: list[str]
    event_types: list[str]
    offsets: "array[int]"
    times_ms: "array[int]"
    items: "array[int]"
    kinds: "array[int]"
    rows: "array[int]"
    distances: "array[int]"
    weights: "array[float]"
    half_lives_ms: "array[float]"
    powers: "array[int]"
    mantissas: "array[float]"


E = TypeVar("E", bound=Edges)


def decay_terms(
    times_ms: "array[int]",
    kinds: "array[int]",
    weights: "array[float]",
    half_lives_ms: "array[float]",
) -> tuple["array[int]", "array[float]"]:
    """Whole powers and mantissas, by row: weight * 2^(time / half-life) = mantissa * 2^power.

    times_ms and kinds are by row, weights and half_lives_ms by kind.
    """
    ages = [time / half_lives_ms[kind] for time, kind in zip(times_ms, kinds, strict=True)]
    powers = array("q", map(floor, ages))
    mantissas = [
        weights[kind] * 2.0 ** (age - power)
        for kind, age, power in zip(kinds, ages, powers, strict=True)
    ]
    return powers, array("d", mantissas)


def add_links(
    groups: dict[str, E],
    clicks: FollowingClicks,
    first: int,
    end: int,
    max_edges: int,
    max_shift: int,
    open_edges: Callable[[dict[str, E], FollowingClicks, int], E],
    forget: Callable[[dict[str, E], int], int],
) -> tuple[int, int]:
    """Add the links from `first` to before `end`, all of one item, to its edges, in place.

    groups: edges by event type. `open_edges` makes those of a row's type where there are none, or
    makes them ready: they have another half-life, or the row is more than `max_shift` half-lives
    after their base. `forget` is called when a new edge makes more than `max_edges` over all types,
    and returns how many it forgot.

    Returns how many of the links are clicks on the item itself, which are passed over, and how many
    edges were forgotten.
    """
    item_ids, times_ms, items, kinds = clicks.item_ids, clicks.times_ms, clicks.items, clicks.kinds
    rows, distances = clicks.rows, clicks.distances
    powers, mantissas = clicks.powers, clicks.mantissas
    visits = forgotten = 0
    kind = -1
    base = 0
    for place in range(first, end):
        distance = distances[place]
        if not distance:
            visits += 1
            continue
        row = rows[place]
        mantissa = mantissas[row]
        if not mantissa:
            continue
        if kinds[row] != kind or powers[row] - base > max_shift:
            kind = kinds[row]
            edges = groups.get(clicks.event_types[kind])
            if (
                edges is None
                or edges.half_life_ms != clicks.half_lives_ms[kind]
                or powers[row] - edges.base > max_shift
            ):
                edges = open_edges(groups, clicks, row)
            base, slots, weights = edges.base, edges.slots, edges.weights
            last_seconds, counts = edges.last_seconds, edges.counts
        shift = powers[row] - base
        if shift:
            mantissa = ldexp(mantissa, shift)
        item_id = item_ids[items[row]]
        seconds = times_ms[row] // 1000
        slot = slots.get(item_id)
        if slot is not None:
            weights[slot] += mantissa / distance
            counts[slot] += 1
            if seconds > last_seconds[slot]:
                last_seconds[slot] = seconds
            continue
        slots[item_id] = len(weights)
        weights.append(mantissa / distance)
        last_seconds.append(seconds)
        counts.append(1)
        if sum([len(group.weights) for group in groups.values()]) > max_edges:
            forgotten += forget(groups, max_edges)
            kind = -1
    return visits, forgotten


def count_visits(
    popularity: Popularity,
    clicks: FollowingClicks,
    first: int,
    end: int,
    long_half_life_ms: float,
    short_half_life_ms: float,
) -> None:
    """Count, of the links from `first` to before `end`, the clicks on the item itself, in place."""
    rows, distances = clicks.rows, clicks.distances
    for place in range(first, end):
        if not distances[place]:
            row = rows[place]
            weight = clicks.weights[clicks.kinds[row]]
            if weight:
                time_ms = clicks.times_ms[row]
                add(popularity, weight, time_ms, long_half_life_ms, short_half_life_ms)


def keep_strongest(edges: Edges, kept: int) -> None:
    """Forget all but the `kept` strongest edges; there have to be more. Ties go by age
    and item.
    """
    weights, last_seconds = edges.weights, edges.last_seconds
    bar = sorted(weights)[-kept - 1]
    wanted = [weight > bar for weight in weights]
    missing = kept - sum(wanted)
    if missing:
        ties = [
            (last_seconds[slot], item_id, slot)
            for item_id, slot in edges.slots.items()
            if weights[slot] == bar
        ]
        for _, _, slot in sorted(ties)[-missing:]:
            wanted[slot] = True
    keep_edges(edges, wanted)


def keep_edges(edges: Edges, wanted: list[bool]) -> None:
    """Forget every edge that is not wanted; one answer for each place of the columns."""
    edges.slots = dict(zip(compress(edges.slots, wanted), count()))
    edges.weights = array("f", compress(edges.weights, wanted))
    edges.last_seconds = array("q", compress(edges.last_seconds, wanted))
    edges.counts = array("Q", compress(edges.counts, wanted))
