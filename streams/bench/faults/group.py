"""Group: watches how partitions are shared out, and counts how often that changes."""

import asyncio
import contextlib
import logging
import threading
from types import TracebackType
from typing import Any, Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.25
_REQUEST_MS = 5_000
_SETTLED = "Stable"


class GroupWatch:
    """Counts rebalances of a group: changes between two settled states of it.

    A state that lasts less than a poll is not seen, so the count is a lower bound. It runs in a
    thread with an event loop of its own.
    """

    def __init__(self, bootstrap: str, group: str) -> None:
        self._bootstrap = bootstrap
        self._group = group
        self._shares: dict[str, bytes] | None = None
        """Member, by its name across restarts, and its partitions in Kafka's encoding."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="group-watch", daemon=True)
        self.rebalances = 0
        self.coordinator: int | None = None
        """The broker that coordinates the group, as far as is known."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._watch())

    async def _watch(self) -> None:
        while not self._over.is_set():
            admin = AIOKafkaAdminClient(
                bootstrap_servers=self._bootstrap, request_timeout_ms=_REQUEST_MS
            )
            try:
                await admin.start()
                while not self._over.is_set():
                    self.coordinator = await admin.find_coordinator(self._group)
                    (answer,) = await admin.describe_consumer_groups(
                        [self._group], self.coordinator
                    )
                    self.note(answer.groups[0])
                    await asyncio.sleep(_POLL_SECONDS)
            except (KafkaError, OSError, TimeoutError) as error:
                log.debug("the group cannot be described at the moment: %r", error)
                await asyncio.sleep(_POLL_SECONDS)
            finally:
                with contextlib.suppress(KafkaError, OSError):
                    await admin.close()

    def note(self, described: Any) -> None:
        """Take a description into account: (error, group, state, protocol type, protocol,
        members, …), a member being (id, client id, host, metadata, assignment).
        """
        if described[0] != 0 or described[2] != _SETTLED:
            return
        shares = {member[1]: member[4] for member in described[5]}
        if self._shares is not None and shares != self._shares:
            self.rebalances += 1
        self._shares = shares
