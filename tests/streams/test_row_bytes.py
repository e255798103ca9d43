"""Row bytes: key and value of what stands last in a changelog."""

import pytest

from streams.bench import row_bytes
from streams.bench.oracle import StoredRecord
from streams.bench.row_bytes import has_all_neighbours, mean_bytes, table_rows
from streams.edges import TypeEdges
from streams.graph import encode_item, new_item_state
from streams.settings import Settings
from streams.transitions import CHAIN_KEY


def item(neighbours: int) -> bytes:
    """A stored item with so many neighbours."""
    state = new_item_state()
    edges = state.edges["click"] = TypeEdges(0, 1_000.0)
    for number in range(neighbours):
        edges.slots[f"i{number}"] = number
        edges.weights.append(1.0)
        edges.last_seconds.append(0)
        edges.counts.append(1)
    return encode_item(state)


@pytest.fixture
def changelog(monkeypatch: pytest.MonkeyPatch) -> list[StoredRecord]:
    """The only partition of every changelog."""
    records: list[StoredRecord] = []
    monkeypatch.setattr(row_bytes, "read_topic", lambda *_: [records])
    return records


def put(records: list[StoredRecord], key: str, value: bytes | None) -> None:
    """Append a record."""
    records.append(StoredRecord(0, len(records), 0, key.encode(), value, []))


def test_of_a_row_counts_the_last_record_with_its_key(changelog: list[StoredRecord]) -> None:
    put(changelog, "u1", b"x" * 90)
    put(changelog, "u1", b"x" * 8)
    put(changelog, "user2", b"x" * 15)
    put(changelog, "gone", b"x" * 90)
    put(changelog, "gone", None)
    assert mean_bytes(table_rows(Settings(), "windows")) == (10 + 20) / 2


def test_where_no_row_is_there_is_no_mean(changelog: list[StoredRecord]) -> None:
    assert mean_bytes(table_rows(Settings(), "windows")) is None
    put(changelog, CHAIN_KEY, b"positions, and no item")
    assert mean_bytes(table_rows(Settings(), "graph")) is None


def test_only_items_with_nearly_all_neighbours_count_as_full(
    changelog: list[StoredRecord],
) -> None:
    settings = Settings(max_neighbours=20)
    for number, neighbours in enumerate((1, 18, 19, 20)):
        put(changelog, f"i{number}", item(neighbours))
    full = [2 + len(item(19)), 2 + len(item(20))]
    items = table_rows(settings, "graph")
    assert mean_bytes(items, has_all_neighbours(settings)) == sum(full) / 2
