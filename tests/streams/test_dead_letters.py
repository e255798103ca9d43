"""Dead letters: as they came, once, whole unless the topic will not have them."""

from typing import Any, cast

from streams.dead_letters import DeadLetters
from streams.effects import DeadLetter
from streams.events import Reject, RejectReason
from streams.partition import Partition
from streams.settings import Settings
from tests.streams.shell_fakes import FakePublisher, make_partition

SMALL, LARGE = b"x" * 100, b"x" * 2_000


class Topic:
    """The dead-letter topic, as far as its largest record goes."""

    def __init__(self, largest_bytes: int) -> None:
        self.largest_bytes = largest_bytes
        self.asked = 0

    async def ask(self) -> int:
        self.asked += 1
        return self.largest_bytes


def letter(offset: int, value: bytes) -> DeadLetter:
    return DeadLetter(offset, b"u", value, (), Reject(RejectReason.MALFORMED_JSON, "no JSON"))


async def values(known_bytes: int, topic: Topic, *batches: list[bytes]) -> list[bytes | None]:
    settings = Settings()
    publisher = FakePublisher()
    letters = DeadLetters(settings, cast("Any", publisher), known_bytes, topic.ask)
    partition: Partition = make_partition(settings)
    partition._dead_letters = {}
    for number, batch in enumerate(batches):
        sent = [letter(number * 10 + place, value) for place, value in enumerate(batch)]
        await letters.send(partition, "clicks", sent)
    return publisher.values(settings.dead_letter_topic)


async def test_a_letter_that_fits_is_sent_without_asking_for_the_limit() -> None:
    topic = Topic(1_000)
    assert await values(1_000, topic, [SMALL, SMALL]) == [SMALL, SMALL]
    assert topic.asked == 0


async def test_a_letter_too_large_goes_without_its_value_and_the_others_with_theirs() -> None:
    assert await values(1_000, Topic(1_000), [SMALL, LARGE]) == [SMALL, None]


async def test_a_limit_that_was_raised_since_the_start_costs_no_value() -> None:
    topic = Topic(1_000_000)
    assert await values(1, topic, [LARGE], [LARGE, SMALL]) == [LARGE, LARGE, SMALL]
    assert topic.asked == 1
