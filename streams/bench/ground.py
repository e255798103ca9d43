"""Ground of a benchmark: a Kafka, topics that no other run has, and a directory."""

import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from streams.broker import KafkaCluster
from streams.settings import Settings
from streams.topics import make_topics


class Ground(NamedTuple):
    """Where a run takes place.

    flags: of its workers, to which a caller may add; `state_dir` lies in `directory`.
    """

    directory: Path
    flags: dict[str, Any]
    settings: Settings


@contextmanager
def ground(
    bootstrap: str | None, *, java_options: Sequence[str] = (), **flags: object
) -> Iterator[Ground]:
    """Make the topics of a run, on a Kafka of its own where no `bootstrap` is given.

    java_options: of that Kafka's JVM, over those that tests have.
    """
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        address = (
            bootstrap or stack.enter_context(KafkaCluster(java_options=java_options)).bootstrap
        )
        run_id = f"bench-{time.time_ns():x}"
        every: dict[str, Any] = {
            "bootstrap": address,
            "group": run_id,
            "topic_prefix": f"{run_id}-",
            "state_dir": directory / "state",
            **flags,
        }
        settings = Settings(**every)
        asyncio.run(make_topics(settings))
        yield Ground(directory, every, settings)
