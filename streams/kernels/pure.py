"""The kernels in Python: what they mean, and what runs where nothing was compiled."""

from array import array
from collections.abc import Callable, Sequence
from itertools import compress, count
from math import floor, ldexp
from typing import Protocol, TypeVar


class Edges(Protocol):
    """Edges of one event type, as columns (`streams.edges.TypeEdges`)."""

    base: int
    slots: dict[str, int]
    weights: "array[float]"
    last_seconds: "array[int]"
    counts: "array[int]"


class Followers(Protocol):
    """Clicks as columns (`streams.graph.FollowingClicks`)."""

    items: list[str]
    times_ms: list[int]
    mantissas: list[float]
    powers: list[int]
    event_types: list[str]


class Linking(Protocol):
    """A click that links items (`streams.click.Click`)."""

    item_id: str
    event_type: str
    timestamp_ms: int


class Batch(Protocol):
    """What a graph partition is told (`streams.transitions.TransitionBatch`)."""

    offsets: list[int]
    times_ms: list[int]
    items: list[str]
    event_types: list[str]
    kinds: list[int]
    owned: list[int]

    def add(self, offset: int, time_ms: int, item_id: str, event_type: str) -> int:
        """The row of a click, appended unless it is the last row already."""


B = TypeVar("B", bound=Batch)
Place = tuple[B, list[int], list[int]]
"""Where an item's transitions go: a batch, its offsets, and room for what follows the item there,
flat: [row, distance, …].
"""


def decay_terms(
    times_ms: list[int], weights: list[float], half_lives_ms: list[float]
) -> tuple[list[int], list[float]]:
    """Whole powers and mantissas, by row: weight * 2^(time / half-life) = mantissa * 2^power."""
    ages = [time / half_life for time, half_life in zip(times_ms, half_lives_ms, strict=True)]
    powers = [floor(age) for age in ages]
    mantissas = [
        weight * 2.0 ** (age - power)
        for weight, age, power in zip(weights, ages, powers, strict=True)
    ]
    return powers, mantissas


def add_run(
    edges: Edges,
    clicks: Followers,
    followers: list[int],
    position: int,
    max_edges: int,
    max_shift: int,
) -> int:
    """Add transitions to the edges of one event type, in place, beginning with followers[position].

    The first one has to be of that type and at most `max_shift` half-lives after the edges' base.
    Returns the position after the last one added: the end, or where a transition of another type
    or too far from the base stands, or after the one that made the edges more than `max_edges`.
    """
    items = clicks.items
    times_ms = clicks.times_ms
    mantissas = clicks.mantissas
    powers = clicks.powers
    event_types = clicks.event_types
    event_type = event_types[followers[position]]
    base = edges.base
    slots = edges.slots
    find = slots.get
    weights = edges.weights
    last_seconds = edges.last_seconds
    counts = edges.counts
    for place in range(position, len(followers), 2):
        row = followers[place]
        mantissa = mantissas[row]
        if not mantissa:
            continue
        if event_types[row] != event_type:
            return place
        shift = powers[row] - base
        if shift:
            if shift > max_shift:
                return place
            mantissa = ldexp(mantissa, shift)
        item_id = items[row]
        slot = find(item_id)
        if slot is not None:
            weights[slot] += mantissa / followers[place + 1]
            counts[slot] += 1
            seconds = times_ms[row] // 1000
            if seconds > last_seconds[slot]:
                last_seconds[slot] = seconds
            continue
        slots[item_id] = len(weights)
        weights.append(mantissa / followers[place + 1])
        last_seconds.append(times_ms[row] // 1000)
        counts.append(1)
        if len(weights) > max_edges:
            return place + 2
    return len(followers)


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


def link_clicks(
    offsets: list[int],
    clicks: Sequence[Linking | None],
    predecessors: list[list[str | None] | None],
    places: dict[str, Place[B]],
    place_of: Callable[[str], Place[B]],
) -> None:
    """Write what clicks tell the graph to the places of the items concerned, in offset order.

    One entry a click in each of the first three; a click that is None or whose predecessors are
    None links nothing. `place_of` makes the place of an item that has none in `places`.
    """
    find = places.get
    for offset, click, before in zip(offsets, clicks, predecessors, strict=True):
        if click is None or before is None:
            continue
        item_id = click.item_id
        time_ms = click.timestamp_ms
        event_type = click.event_type
        place = find(item_id)
        if place is None:
            place = places[item_id] = place_of(item_id)
        batch, rows, _ = place
        if not rows or rows[-1] != offset:
            batch.add(offset, time_ms, item_id, event_type)
        batch.owned.append(len(rows) - 1)
        distance = 0
        for earlier in before:
            distance += 1
            if earlier is None:
                continue
            place = find(earlier)
            if place is None:
                place = places[earlier] = place_of(earlier)
            batch, rows, followers = place
            if not rows or rows[-1] != offset:
                batch.add(offset, time_ms, item_id, event_type)
            followers += (len(rows) - 1, distance)
