"""What the consumer does that aiokafka does not do by itself."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError, NotLeaderForPartitionError, RequestTimedOutError

from streams.transport import find_leaders_again


class Fetcher:
    """Answers a question for offsets, or fails."""

    def __init__(self, fault: KafkaError | None) -> None:
        self.fault = fault
        self.updates = 0
        self._client = SimpleNamespace(force_metadata_update=self._update)

    def _update(self) -> None:
        self.updates += 1

    async def _proc_offset_request(self, node_id: int, topic_data: Any) -> str:
        if self.fault is not None:
            raise self.fault
        return f"offsets of {topic_data} from {node_id}"


async def test_a_broker_that_leads_no_more_makes_the_consumer_look_for_the_leader() -> None:
    fetcher = Fetcher(NotLeaderForPartitionError())
    find_leaders_again(fetcher)
    with pytest.raises(NotLeaderForPartitionError):
        await fetcher._proc_offset_request(1, "t")
    assert fetcher.updates == 1


async def test_other_faults_and_answers_pass_as_they_are() -> None:
    fetcher = Fetcher(RequestTimedOutError())
    find_leaders_again(fetcher)
    with pytest.raises(RequestTimedOutError):
        await fetcher._proc_offset_request(1, "t")
    fetcher.fault = None
    assert await fetcher._proc_offset_request(1, "t") == "offsets of t from 1"
    assert fetcher.updates == 0
