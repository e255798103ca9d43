"""Erase a user: publish the request, wait for the worker's receipt."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from streams.receipt import Receipt, decode_receipt
from streams.reject import UNREADABLE
from streams.sender import KafkaSender, Position, SendError, ensure_topic
from streams.settings import Settings
from streams.tail import Record, TopicReader


class EraseError(RuntimeError):
    """An erasure that was not confirmed; the message says what is known and what to do."""


@dataclass(frozen=True, kw_only=True)
class EraseReport:
    """A confirmed erasure."""

    user_id: str
    erased_at: str
    partition: int
    offset: int
    seconds: float


def receipt_for(user: str, request: Position, records: Iterator[Record]) -> Receipt | None:
    """The first receipt of this user for this request or a later one; None: there is none."""
    for record in records:
        if record.key != user or record.value is None:
            continue
        try:
            receipt = decode_receipt(record.value)
        except UNREADABLE:
            continue  # not ours to judge; the wait goes on
        if (
            receipt.user_id == user
            and receipt.source_topic in (None, request.topic)
            and receipt.source_partition == request.partition
            and receipt.source_offset >= request.offset
        ):
            return receipt
    return None


def erase(
    settings: Settings,
    user: str,
    *,
    timeout_seconds: float,
    partition: int | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> EraseReport:
    """Publish a null click with the user as its key and wait for the receipt of just that record.

    The request must reach the partition of the user's clicks: the configured partitioner finds it,
    `partition` overrides it for producers that choose partitions in their own way. Raises
    `EraseError`, `SendError` and `TailError`.
    """
    start = clock()
    known = settings.known_as(user)
    if known == user and settings.pseudonyms() is not None:
        raise EraseError(
            f"{user} is a pseudonym, from which nothing leads to the partition of the user's"
            " clicks: give the user's id, as clicks have it."
        )
    count = ensure_topic(settings, settings.clicks)
    if partition is not None and not 0 <= partition < count:
        raise EraseError(
            f"The topic {settings.clicks} has no partition {partition}; it has 0 to {count - 1}."
        )
    reader = TopicReader(settings, settings.receipts_topic, from_beginning=False)
    try:
        request = _publish(settings, user, partition)
        end = start + timeout_seconds
        receipt = receipt_for(known, request, reader.read(lambda: clock() >= end))
    finally:
        reader.close()
    if receipt is None:
        raise EraseError(
            f"No worker confirmed the erasure of {user!r} within {timeout_seconds:g} s. The request"
            f" stands at offset {request.offset} of partition {request.partition} of"
            f" {request.topic} and takes effect when a worker reads it: look whether one runs and"
            " keeps up, then repeat."
        )
    return EraseReport(
        user_id=user,
        erased_at=receipt.erased_at,
        partition=request.partition,
        offset=request.offset,
        seconds=round(clock() - start, 3),
    )


def _publish(settings: Settings, user: str, partition: int | None) -> Position:
    sender = KafkaSender(settings, settings.clicks, partition)
    sender.send(user.encode(), None)
    sender.finish()
    if sender.last is None:
        raise SendError(f"The brokers at {settings.bootstrap} did not say where the request is.")
    return sender.last
