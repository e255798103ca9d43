"""The Faust application: what Faust must be told in another way than its documentation has it."""

from streams.faust_app import faust_app
from streams.fetch_gate import FetchGate
from streams.lease import Lease
from streams.settings import Settings


class _Deaf:
    """Handles nothing."""

    async def on_clicks(self, _message: object, _records: object) -> None:
        raise NotImplementedError

    async def on_transitions(self, _message: object, _records: object) -> None:
        raise NotImplementedError


def test_a_batch_of_every_partition_may_wait_however_many_partitions_there_are() -> None:
    app = faust_app(Settings(), _Deaf(), _Deaf(), Lease(10.0), FetchGate())  # type: ignore[arg-type]
    for agent in app.agents.values():
        assert agent.channel.clone().maxsize == 0, agent.name
