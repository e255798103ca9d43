"""No framework: aiokafka, a dict of windows, a changelog by hand, commits after acknowledgements.

State is in memory alone; what a restart would need (reading the changelog, rebalances) is left out.
"""

import asyncio
import json

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from benchmarks.peers.job import Peer, folded, output


async def main(peer: Peer) -> None:
    """Batch by batch, as they are fetched."""
    consumer = AIOKafkaConsumer(
        peer.clicks,
        bootstrap_servers=peer.bootstrap,
        group_id=peer.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=peer.bootstrap, acks="all", enable_idempotence=True, linger_ms=5
    )
    windows: dict[str, list[list[object]]] = {}
    async with consumer, producer:
        while True:
            offsets: dict[TopicPartition, int] = {}
            sent = []
            batches = await consumer.getmany(timeout_ms=200, max_records=2_000)
            for source, records in batches.items():
                changed = set()
                for record in records:
                    user = record.key.decode()
                    windows[user] = folded(windows.get(user, []), record.value)
                    changed.add(user)
                for user in changed:
                    key, window = user.encode(), windows[user]
                    rows = json.dumps(window).encode()
                    body = json.dumps(output(user, window)).encode()
                    place = {"partition": source.partition}
                    sent.append(await producer.send(peer.changelog, rows, key, **place))
                    sent.append(await producer.send(peer.output, body, key, **place))
                offsets[source] = records[-1].offset + 1
            if offsets:
                await asyncio.gather(*sent)
                await consumer.commit(offsets)


if __name__ == "__main__":
    asyncio.run(main(Peer.from_environment()))
