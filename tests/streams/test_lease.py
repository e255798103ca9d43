"""Without a confirmed heartbeat of the last session timeout, nothing is sent."""

import asyncio
from typing import Any, NamedTuple

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, SyncGroupRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.produce import ProduceRequest

from streams.lease import Lease, renew_by_heartbeats, send_only_with

HEARTBEAT = HeartbeatRequest("group", 1, "member")
SYNC = SyncGroupRequest("group", 1, "member", None, [])
JOIN = JoinGroupRequest("group", 6000, 6000, "", None, "consumer", [])
VERSIONS = {ProduceRequest.API_KEY: (3, 3)}
REBALANCING = 27


def produce() -> ProduceRequest:
    return ProduceRequest(transactional_id=None, required_acks=-1, timeout=1000, topics=[])


class Clock:
    """A monotonic clock that stands until it is moved."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Answer(NamedTuple):
    """What a coordinator says."""

    error_code: int


class Coordinator:
    """Answers every request after one second of the clock."""

    def __init__(self, clock: Clock, error_code: int) -> None:
        self.clock = clock
        self.error_code = error_code

    async def _send_req(self, request: Any) -> Answer:
        self.clock.seconds += 1.0
        return Answer(self.error_code)


class Client:
    """Notes what was sent."""

    def __init__(self, *, connected: bool = True) -> None:
        self.sent: list[Any] = []
        self.connected = connected

    async def ready(self, node_id: int) -> bool:
        return self.connected

    async def send(self, node_id: int, request: Any, **more: Any) -> str:
        self.sent.append(request)
        return "answer"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lease(clock: Clock) -> Lease:
    return Lease(6.0, clock)


def test_nothing_is_held_before_the_first_confirmation(lease: Lease) -> None:
    assert not lease.held


def test_a_confirmation_counts_from_when_it_was_asked_for(lease: Lease, clock: Clock) -> None:
    lease.renew(98.0)
    assert lease.held
    clock.seconds = 103.9
    assert lease.held
    clock.seconds = 104.0
    assert not lease.held


def test_a_confirmation_that_was_overtaken_shortens_nothing(lease: Lease, clock: Clock) -> None:
    lease.renew(100.0)
    lease.renew(95.0)
    clock.seconds = 105.0
    assert lease.held


def test_a_lease_that_was_ended_is_not_renewed(lease: Lease) -> None:
    lease.renew(100.0)
    lease.end()
    lease.renew(100.0)
    assert not lease.held


@pytest.mark.parametrize("request_", [HEARTBEAT, SYNC])
async def test_what_the_group_confirms_renews_from_the_moment_of_sending(
    lease: Lease, clock: Clock, request_: Any
) -> None:
    coordinator = Coordinator(clock, 0)
    renew_by_heartbeats(coordinator, lease)
    assert (await coordinator._send_req(request_)).error_code == 0
    clock.seconds = 105.9
    assert lease.held
    clock.seconds = 106.0
    assert not lease.held


@pytest.mark.parametrize(
    ("request_", "error_code"), [(HEARTBEAT, REBALANCING), (HEARTBEAT, 25), (SYNC, 22), (JOIN, 0)]
)
async def test_nothing_else_renews(
    lease: Lease, clock: Clock, request_: Any, error_code: int
) -> None:
    coordinator = Coordinator(clock, error_code)
    renew_by_heartbeats(coordinator, lease)
    await coordinator._send_req(request_)
    assert not lease.held


async def test_records_wait_for_the_lease_and_are_sent_then(lease: Lease) -> None:
    client = Client()
    send_only_with(lease, client)
    request = produce()
    sending = asyncio.ensure_future(client.send(0, request))
    await asyncio.sleep(0.12)
    assert client.sent == []
    lease.renew(100.0)
    assert await asyncio.wait_for(sending, 10) == "answer"
    assert client.sent == [request]


async def test_other_requests_and_those_to_nobody_do_not_wait(lease: Lease) -> None:
    client = Client()
    send_only_with(lease, client)
    metadata = MetadataRequest([])
    await asyncio.wait_for(client.send(0, metadata), 10)
    client.connected = False
    request = produce()
    await asyncio.wait_for(client.send(0, request), 10)
    assert client.sent == [metadata, request]


class Encoder(Client):
    """Encodes what it sends, as a connection does right before it writes."""

    def __init__(self, clock: Clock, *, seconds: float) -> None:
        super().__init__()
        self.clock = clock
        self.seconds = seconds

    async def send(self, node_id: int, request: Any, **more: Any) -> str:
        struct = request.prepare(VERSIONS)
        self.clock.seconds += self.seconds
        struct.encode()
        return await super().send(node_id, request, **more)


async def test_a_worker_stopped_while_it_encodes_writes_nothing_when_it_wakes(
    lease: Lease, clock: Clock
) -> None:
    lease.renew(100.0)
    client = Encoder(clock, seconds=7.0)
    send_only_with(lease, client)
    with pytest.raises(KafkaConnectionError) as told:
        await client.send(0, produce())
    assert told.value.retriable
    assert client.sent == []


async def test_what_is_encoded_under_the_lease_is_written(lease: Lease, clock: Clock) -> None:
    lease.renew(100.0)
    client = Encoder(clock, seconds=1.0)
    send_only_with(lease, client)
    request = produce()
    assert await client.send(0, request) == "answer"
    assert client.sent == [request]
