"""What every graph partition is told of a batch of clicks."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from streams.click import Click
from streams.routing import Router
from streams.transitions import TransitionBatch, owner_of

PARTITIONS = 3
SOURCE = 4


class Link(NamedTuple):
    """A click, and the items that it links."""

    offset: int
    click: Click
    predecessors: list[str | None]


ITEMS = st.sampled_from([f"i{number}" for number in range(7)])
LINKS = st.lists(
    st.tuples(
        ITEMS, st.sampled_from(["click", "purchase"]), st.lists(st.none() | ITEMS, max_size=5)
    ),
    max_size=30,
).map(
    lambda rows: [
        Link(offset, Click("u", item, kind, 1_000 + offset), before)
        for offset, (item, kind, before) in enumerate(rows)
    ]
)


def route(links: list[Link]) -> dict[int, TransitionBatch]:
    """What becomes of them, with clicks that link nothing in between."""
    offsets: list[int] = []
    clicks: list[Click | None] = []
    predecessors: list[list[str | None] | None] = []
    for offset, click, before in links:
        offsets += (3 * offset, 3 * offset + 1, 3 * offset + 2)
        clicks += (None, click, click)
        predecessors += (["i1"], before, None)
    return Router(PARTITIONS).route(offsets, clicks, predecessors, SOURCE)


def told(batch: TransitionBatch) -> set[tuple[int, str, str, str, int]]:
    """(offset, clicked item, event type, item before it, distance) of every transition."""
    return {
        (told.offset // 3, told.item_id, told.event_type, item, distance)
        for told in batch.clicks()
        for item, distance in told.before
    }


@given(LINKS)
def test_every_transition_reaches_the_owner_of_the_item_that_was_followed(
    links: list[Link],
) -> None:
    outgoing = route(links)
    for partition in range(PARTITIONS):
        wanted = {
            (offset, click.item_id, click.event_type, item, distance)
            for offset, click, before in links
            for distance, item in enumerate(before, 1)
            if item is not None and owner_of(item, PARTITIONS) == partition
        }
        batch = outgoing.get(partition, TransitionBatch.of(SOURCE, []))
        assert told(batch) == wanted


@given(LINKS)
def test_every_click_is_told_once_to_the_owner_of_its_item(links: list[Link]) -> None:
    outgoing = route(links)
    counted = [
        (told.offset // 3, told.item_id, partition)
        for partition, batch in outgoing.items()
        for told in batch.clicks()
        if told.owned
    ]
    assert sorted(counted) == [
        (link.offset, link.click.item_id, owner_of(link.click.item_id, PARTITIONS))
        for link in links
    ]


@given(LINKS)
def test_a_batch_has_only_clicks_that_concern_its_partition_in_offset_order(
    links: list[Link],
) -> None:
    for batch in route(links).values():
        assert batch.is_consistent()
        assert list(batch.offsets) == sorted(set(batch.offsets))
        assert set(batch.columns.rows) == set(range(len(batch.offsets)))
