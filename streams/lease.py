"""Lease: for how long this worker may write to the partitions that it was given.

The group gives a silent worker's partitions to another one after `session_timeout_seconds`. A
worker that was cut off or stopped, and comes back, must not send what it still has in hand: lists
older than the new owner's, states that are no longer its own. Each heartbeat that the coordinator
confirms makes the lease last for one session timeout from the moment at which the heartbeat was
sent, so it ends before the group's patience does. Without it nothing is sent: requests wait until
it is renewed, or for the process to end.

Only what has left the process is beyond it, a request that the network delivers after more than a
session timeout, and a stop that falls right between the last look and the socket.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest
from aiokafka.protocol.produce import ProduceRequest

_POLL_SECONDS = 0.05


class HandoverError(RuntimeError):
    """Partitions have to be given up while sends for them are not acknowledged."""


class Lease:
    """Renewed by heartbeats, asked before every send."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`seconds`: the group's session timeout. `clock`: monotonic, in seconds."""
        self._seconds = seconds
        self.clock = clock
        self._until = float("-inf")
        self._ended = False

    @property
    def held(self) -> bool:
        """Whether the partitions are certain to be this worker's."""
        return not self._ended and self.clock() < self._until

    def renew(self, sent_at: float) -> None:
        """The coordinator has confirmed what was sent at that moment."""
        self._until = max(self._until, sent_at + self._seconds)

    def end(self) -> None:
        """Never again: the process is about to end."""
        self._ended = True

    async def wait(self) -> None:
        """Wait until it is held."""
        while not self.held:  # noqa: ASYNC110  (it ends by time, which no event tells)
            await asyncio.sleep(_POLL_SECONDS)


def renew_by_heartbeats(coordinator: Any, lease: Lease) -> None:
    """Have a consumer's group coordinator renew the lease.

    A heartbeat that is answered by "the group is rebalancing" renews nothing: from that moment the
    group waits for one rebalance timeout at most, which is the session timeout here.
    """
    send = coordinator._send_req

    async def watched(request: Any) -> Any:
        sent_at = lease.clock()
        response = await send(request)
        confirms = isinstance(request, HeartbeatRequest | SyncGroupRequest)
        if confirms and response.error_code == 0:
            lease.renew(sent_at)
        return response

    coordinator._send_req = watched


def send_only_with(lease: Lease, client: Any) -> None:
    """Have a producer's client hold produce requests while the lease is not held."""
    send = client.send

    async def guarded(node_id: int, request: Any, **more: Any) -> Any:
        if isinstance(request, ProduceRequest) and await client.ready(node_id):
            # Connected first, so that nothing is waited for between this and the socket.
            await lease.wait()
            _look_again_when_encoded(lease, request)
        return await send(node_id, request, **more)

    client.send = guarded


def _look_again_when_encoded(lease: Lease, request: Any) -> None:
    """A worker can be stopped while it encodes, which is what takes time between the look at the
    lease and the socket. What was encoded and not written is sent again, like after a lost
    connection.
    """
    prepare = request.prepare

    def prepared(versions: Any) -> Any:
        struct = prepare(versions)
        encode = struct.encode

        def encoded() -> bytes:
            message: bytes = encode()
            if not lease.held:
                raise KafkaConnectionError("the lease on the partitions ended before the send")
            return message

        struct.encode = encoded
        return struct

    request.prepare = prepared
