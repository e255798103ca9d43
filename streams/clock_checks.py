"""Whether this machine's clock is right, as far as that can be told without writing anything.

Kafka has no request that asks a broker for its time. What can be asked for is the largest timestamp
of a topic. Offsets that groups commit are stamped by the brokers themselves, so the newest of those
is never ahead of the brokers' clock: it shows that *this* clock is behind, and by how much at
least. That this clock is ahead cannot be told so, since the newest record may be old; whether it
follows a time server, the kernel knows.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from streams.findings import Finding
from streams.settings import Settings

OFFSETS_TOPIC = "__consumer_offsets"

_NOTE_SECONDS = 0.5
_FAULT_SECONDS = 5.0
_UNSYNCHRONISED = 0x40  # STA_UNSYNC of <sys/timex.h>
_TIMEX_BYTES = 512  # struct timex has 208 on 64-bit Linux
_TIMEX = struct.Struct("=qqi")  # maxerror, esterror (microseconds) and status
_TIMEX_OFFSET = 24
_NEWEST: Any = OffsetSpec._max_timestamp
_ADVICE = "let chrony, systemd-timesyncd or the host of this machine set its clock"


class KernelClock(msgspec.Struct, frozen=True):
    """What the kernel knows of its clock."""

    synchronised: bool
    largest_error_seconds: float


def clock_findings(
    kernel: KernelClock | None, now_ms: int, offsets_ms: int | None, clicks_ms: int | None
) -> Iterator[Finding]:
    """`offsets_ms` and `clicks_ms`: newest timestamps of either; None: unknown."""
    ahead = _ahead_seconds(offsets_ms, now_ms)
    if ahead > _NOTE_SECONDS:
        yield Finding(
            "clock",
            "fault" if ahead > _FAULT_SECONDS else "note",
            f"this machine's clock is at least {ahead:.1f} s behind the brokers'",
            _ADVICE,
        )
    fast = _ahead_seconds(clicks_ms, now_ms)
    if fast > max(_NOTE_SECONDS, ahead):
        yield Finding(
            "clock", "note", f"the newest click's record is from {fast:.1f} s ahead of now",
            "correct the producer's clock, or let brokers set message.timestamp.type=LogAppendTime",
        )  # fmt: skip
    if kernel is None:
        words = "the kernel does not say whether this clock follows a time server"
        yield Finding("clock", "note", words, "see chronyc tracking, or timedatectl")
    elif not kernel.synchronised:
        words = "the kernel has no time server that this clock follows"
        yield Finding("clock", "note", words, f"{_ADVICE}; a virtual machine may get it otherwise")
    else:
        error = kernel.largest_error_seconds
        yield Finding("clock", "ok", f"follows a time server, to {error:.3f} s at worst")


def kernel_clock() -> KernelClock | None:
    """Asks the kernel and changes nothing; None on systems that cannot be asked."""
    if sys.platform != "linux" or sys.maxsize < 1 << 32:
        return None
    asked = ctypes.create_string_buffer(_TIMEX_BYTES)  # zeros: no mode, nothing is set
    try:
        answer = ctypes.CDLL(None).adjtimex(asked)
    except (OSError, AttributeError):
        return None
    if answer < 0:  # a sandbox may forbid it
        return None
    largest_us, _, status = _TIMEX.unpack_from(asked.raw, _TIMEX_OFFSET)
    return KernelClock(not status & _UNSYNCHRONISED, largest_us / 1e6)


def newest_ms(admin: Any, topic: str, partitions: int, timeout_seconds: float) -> int | None:
    """The largest timestamp of a topic, epoch milliseconds; None: no record, or not to be told."""
    asked = {TopicPartition(topic, number): _NEWEST for number in range(partitions)}
    if not asked:
        return None
    newest = -1
    for future in admin.list_offsets(asked, request_timeout=timeout_seconds).values():
        try:
            newest = max(newest, future.result(timeout_seconds + 5).timestamp)
        except KafkaException:
            continue
    return newest if newest >= 0 else None


def kafka_times(
    settings: Settings, admin: Any, partitions: dict[str, int], timeout_seconds: float
) -> tuple[int | None, int | None]:
    """Newest timestamps of the brokers' own records and of clicks."""
    offsets, clicks = (
        newest_ms(admin, name, partitions.get(name, 0), timeout_seconds)
        for name in (OFFSETS_TOPIC, settings.clicks)
    )
    return offsets, clicks


def _ahead_seconds(then_ms: int | None, now_ms: int) -> float:
    return 0.0 if then_ms is None else (then_ms - now_ms) / 1000
