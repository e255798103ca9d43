"""Dead letters: what cannot be used goes to its topic as it came, once, with the reason."""

import logging
from collections.abc import Awaitable, Callable

from streams.effects import DeadLetter
from streams.partition import Partition
from streams.publisher import Header, Publisher
from streams.sent import Sent
from streams.settings import Settings

log = logging.getLogger(__name__)

_RECORD_OVERHEAD_BYTES = 128
_OWN_HEADERS = 5

Letter = tuple[bytes | None, bytes | None, list[Header]]
"""Key, value and headers of a record of the dead-letter topic."""


class DeadLetters:
    """Sends the dead letters of one worker."""

    def __init__(
        self,
        settings: Settings,
        publisher: Publisher,
        largest_bytes: int,
        ask_largest_bytes: Callable[[], Awaitable[int]],
    ) -> None:
        """`largest_bytes`: of a record that the topic accepted when it was last asked, which
        `ask_largest_bytes` does again.
        """
        self._topic = settings.dead_letter_topic
        self._clicks = settings.clicks
        self._publisher = publisher
        self._largest_bytes = largest_bytes
        self._ask_largest_bytes = ask_largest_bytes

    async def send(self, partition: Partition, topic: str, letters: list[DeadLetter]) -> Sent:
        """Send those of a batch of `topic` that no crash had left there already."""
        already = await partition.dead_letters_sent(topic)
        fresh: list[Letter] = []
        for letter in letters:
            if letter.offset in already:
                already.discard(letter.offset)
                continue
            # Last, since of a repeated header most clients keep the last.
            headers: list[Header] = [
                *letter.headers,
                ("reason", letter.reject.reason.value.encode()),
                ("detail", letter.reject.detail.encode(errors="replace")),
                ("source-topic", topic.encode()),
                ("source-partition", str(partition.number).encode()),
                ("source-offset", str(letter.offset).encode()),
            ]
            fresh.append((letter.key, letter.value, headers))
        largest = max(map(_size_bytes, fresh), default=0)
        if largest > self._largest_bytes:
            # A limit that was raised since must not cost another value.
            self._largest_bytes = await self._ask_largest_bytes()
            if largest > self._largest_bytes:
                fresh = [self._fitted(letter) for letter in fresh]
        return await self._publisher.send_with_headers(self._topic, partition.number, fresh)

    def _fitted(self, letter: Letter) -> Letter:
        """A dead letter as the topic takes it: one too large would stop the worker for good."""
        size = _size_bytes(letter)
        if size <= self._largest_bytes:
            return letter
        log.error(
            "a dead letter of %d bytes goes to %s without its value, since the topic accepts %d "
            "bytes: raise its max.message.bytes above that of %s",
            size,
            self._topic,
            self._largest_bytes,
            self._clicks,
        )
        key, value, headers = letter
        omitted = ("value-omitted-bytes", str(len(value or b"")).encode())
        return key, None, [*headers[-_OWN_HEADERS:], omitted]


def _size_bytes(letter: Letter) -> int:
    key, value, headers = letter
    header_bytes = sum(len(name) * 4 + len(content or b"") + 10 for name, content in headers)
    return len(key or b"") + len(value or b"") + header_bytes + _RECORD_OVERHEAD_BYTES
