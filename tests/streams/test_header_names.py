"""Records whose header names are no text are read like any others."""

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, PartitionRecords
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords

from streams.header_names import TolerantRecords, read_any_header_name

TP = TopicPartition("clicks", 0)
GZIP = 1


def batch(names: list[bytes], first: int = 0, compression: int = 0) -> bytes:
    """A batch of one record a name, as a broker would give it."""
    builder = _DefaultRecordBatchBuilderPy(
        magic=2,
        compression_type=compression,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 20,
    )
    for offset, name in enumerate(names):
        standing_in = "z" * len(name)
        builder.append(
            offset, 1_000 + offset, b"key", b"value", [(standing_in, b"\xff"), ("n", None)]
        )
        if name:
            at = builder._buffer.rindex(standing_in.encode())
            builder._buffer[at : at + len(name)] = name
    built = bytearray(builder.build())
    built[:8] = first.to_bytes(8, "big")
    return bytes(built)


def read(
    records: MemoryRecords | TolerantRecords, start: int = 0
) -> list[tuple[int, list[object]]]:
    parsed = PartitionRecords(TP, records, [], start, None, None, True, READ_UNCOMMITTED)
    return [(record.offset, list(record.headers)) for record in parsed]


def test_aiokafka_itself_ends_at_such_a_record() -> None:
    with pytest.raises(UnicodeDecodeError):
        read(MemoryRecords(batch([b"a", b"\xff\xfe", b"b"])))


@pytest.mark.parametrize("compression", [0, GZIP])
def test_a_name_that_is_no_text_is_replaced_and_nothing_is_left_out_or_twice(
    compression: int,
) -> None:
    fetched = (
        batch([b"a", b"\xff\xfe", b"b"], 0, compression)
        + batch([b"c", b"d"], 3, compression)
        + batch([b"\xc3"], 5, compression)
    )
    names = ["a", "\ufffd\ufffd", "b", "c", "d", "\ufffd"]
    wanted = [(offset, [(name, b"\xff"), ("n", None)]) for offset, name in enumerate(names)]
    assert read(TolerantRecords(fetched)) == wanted
    assert read(TolerantRecords(fetched), start=2) == wanted[2:]


def test_a_batch_that_is_cut_off_is_left_for_the_next_fetch() -> None:
    records = TolerantRecords(batch([b"a"]) + batch([b"b"], 1)[:-3])
    assert [offset for offset, _ in read(records)] == [0]
    assert not records.has_next()
    assert records.next_batch() is None
    assert records.size_in_bytes() > 0


def test_consumers_of_this_process_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "MemoryRecords", MemoryRecords)
    read_any_header_name()
    assert fetcher.MemoryRecords is TolerantRecords
