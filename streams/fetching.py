"""Fetching: what is changed of aiokafka's fetcher, on the fetcher of one consumer.

`_proc_offset_request`, `_proc_fetch_request`, `_consumer_record`, `_fetch_task` and
`_pending_tasks` are not public: another version of aiokafka needs another look.
"""

import asyncio
from typing import Any

from aiokafka.errors import KafkaError


def find_leaders_again(fetcher: Any) -> None:
    """Have a consumer look for new leaders when an old one does not tell where a partition begins.

    aiokafka does so when a fetch fails, but not when the position of a partition without a
    committed offset is asked for: it asked the same broker until its metadata was five minutes old,
    and all partitions of the worker waited.
    """
    ask = fetcher._proc_offset_request

    async def asking(node_id: int, topic_data: Any) -> Any:
        try:
            return await ask(node_id, topic_data)
        except KafkaError as error:
            if getattr(error, "invalid_metadata", False):
                fetcher._client.force_metadata_update()
            raise

    fetcher._proc_offset_request = asking


def close_without_cancelling(fetcher: Any) -> None:
    """Have a consumer that is stopped raise nothing of the fetches that it cancels.

    aiokafka awaits each fetch after cancelling it, and what a fetch that waits for another try, or
    has not begun, then raises is a `CancelledError` out of `stop`: as if whoever stops the consumer
    had been cancelled. A broker that went away at the wrong moment ended the worker.
    """
    close = fetcher.close

    async def closing() -> None:
        tasks = {fetcher._fetch_task, *fetcher._pending_tasks}
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        fetcher._pending_tasks.clear()
        await close()

    fetcher.close = closing


def hand_out_as_parsed(fetcher: Any) -> None:
    """Have a consumer hand out records as aiokafka's parser makes them.

    aiokafka copies each into a `ConsumerRecord` of eleven fields, a twentieth of what a worker that
    is behind does. Offset, timestamp, key, value and headers are all that is read of a record, and
    the parser's have them.
    """
    fetch = fetcher._proc_fetch_request

    async def fetching(*args: Any) -> Any:
        again = await fetch(*args)
        for result in fetcher._records.values():
            # A result that failed has no records; one that was drained has none any more.
            parser = getattr(result, "_partition_records", None)
            if parser is not None:
                parser._consumer_record = _as_parsed
        return again

    fetcher._proc_fetch_request = fetching


def _as_parsed(_tp: object, record: Any) -> Any:
    return record
