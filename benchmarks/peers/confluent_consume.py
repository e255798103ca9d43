"""confluent-kafka that only reads: what any Python consumer cannot be quicker than."""

from confluent_kafka import Consumer

from benchmarks.peers.job import Peer

_BATCH = 5_000


def main(peer: Peer) -> None:
    """Read and commit; nothing is parsed, kept or sent."""
    consumer = Consumer(
        {
            "bootstrap.servers": peer.bootstrap,
            "group.id": peer.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([peer.clicks])
    while True:
        if consumer.consume(_BATCH, timeout=0.2):
            consumer.commit(asynchronous=True)


if __name__ == "__main__":
    main(Peer.from_environment())
