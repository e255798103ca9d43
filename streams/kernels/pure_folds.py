"""Folds of links in Python: what a batch of transitions does to the items of a graph partition."""

from array import array
from collections.abc import Callable
from math import floor, ldexp
from typing import Any, NamedTuple, Protocol, TypeVar

from streams.kernels.pure_forgetting import Edges
from streams.popularity import Popularity, add

E = TypeVar("E", bound=Edges)


class Item(Protocol[E]):
    """State of an item (`streams.graph.ItemState`)."""

    popularity: Popularity
    watermarks: dict[int, int]
    edges: dict[str, E]


S = TypeVar("S", bound=Item[Any])


class FollowingClicks(NamedTuple):
    """Clicks of a batch, ready to be added to the items before them; compiled kernels read these
    fields by their places.

    The columns are those of `streams.kernels.pure_columns.Columns`. By event type: weights and
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


class Bounds(NamedTuple):
    """What folds keep to. max_edges: of one item, over all event types. max_shift: half-lives that
    a click may be after the base of edges.
    """

    max_edges: int
    max_shift: int
    long_half_life_ms: float
    short_half_life_ms: float


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


def fold_items(
    clicks: FollowingClicks,
    ends: "array[int]",
    source: int,
    table: tuple[Callable[[str], S | None], Callable[[str, S], None], Callable[[], S]],
    bounds: Bounds,
    open_edges: Callable[[dict[str, E], FollowingClicks, int], E],
    forget: Callable[[dict[str, E], int], int],
) -> tuple[int, int, int]:
    """Fold all that clicks of one source tell of items, and move their watermarks: the first item's
    links end where the first of `ends` says, there those of the next begin.

    table: gets the state of an item, puts it, makes one that nothing has happened to. Links to rows
    at or below an item's watermark were applied before and change nothing; its edges and its
    popularity share it. `open_edges` makes the edges of a row's type where there are none, or makes
    them ready: they have another half-life, or the row is too far after their base. `forget` is
    called when a new edge makes more than there may be, and returns how many it forgot.

    Returns how many transitions were folded, how many links had been before, and how many edges
    were forgotten.
    """
    get_item, put_item, new_item = table
    offsets, rows = clicks.offsets, clicks.rows
    folded = replayed = forgotten = first = 0
    for item_id, end in zip(clicks.item_ids, ends, strict=False):
        state = get_item(item_id)
        if state is None:
            state = new_item()
        applied = state.watermarks.get(source, -1)
        fresh = first
        while fresh < end and offsets[rows[fresh]] <= applied:
            fresh += 1
        replayed += fresh - first
        if fresh < end:
            visits, evicted = _add_links(
                state.edges, clicks, fresh, end, bounds, open_edges, forget
            )
            if visits:
                _count_visits(state.popularity, clicks, fresh, end, bounds)
            folded += end - fresh - visits
            forgotten += evicted
            state.watermarks[source] = offsets[rows[end - 1]]
        # A replay changes nothing, but its changelog record may never have left.
        put_item(item_id, state)
        first = end
    return folded, replayed, forgotten


def _add_links(
    groups: dict[str, E],
    clicks: FollowingClicks,
    first: int,
    end: int,
    bounds: Bounds,
    open_edges: Callable[[dict[str, E], FollowingClicks, int], E],
    forget: Callable[[dict[str, E], int], int],
) -> tuple[int, int]:
    """Add the links from `first` to before `end`, all of one item, to its edges, by event type.

    Returns how many of the links are clicks on the item itself, which are passed over, and how many
    edges were forgotten.
    """
    max_edges, max_shift, _, _ = bounds
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


def _count_visits(
    popularity: Popularity, clicks: FollowingClicks, first: int, end: int, bounds: Bounds
) -> None:
    """Count, of the links from `first` to before `end`, the clicks on the item itself."""
    rows, distances = clicks.rows, clicks.distances
    for place in range(first, end):
        if not distances[place]:
            row = rows[place]
            weight = clicks.weights[clicks.kinds[row]]
            if weight:
                time_ms = clicks.times_ms[row]
                add(popularity, weight, time_ms, *bounds[2:])
