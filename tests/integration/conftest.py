"""One real Apache Kafka for all integration tests of a run."""

from collections.abc import Iterator

import pytest

from streams.broker import KafkaCluster


@pytest.fixture(scope="session")
def kafka(kafka_installed: None) -> Iterator[str]:
    """Bootstrap address of a one-broker cluster; tests use topics and groups of their own names."""
    with KafkaCluster() as cluster:
        yield cluster.bootstrap
