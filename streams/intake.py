"""Intake: batches from Faust's agents to ours, each when its partition is ready for it."""

import contextlib
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import partial
from typing import Any

from streams.agents import ClickAgent
from streams.graph_agent import GraphAgent
from streams.partition import Partition
from streams.rounds import Rounds
from streams.side_by_side import SideBySide
from streams.turns import Turns

# Other users' clicks are in the graph at most so much later, and a round's work is a tenth of the
# time where that allows; a list waits at most for a batch of so many bytes to be folded.
_ROUND_SECONDS = 0.05
_LONGEST_ROUND_SECONDS = 0.5
_ROUND_SHARE = 0.1
_LARGE_ROUND_BYTES = 64 * 1024


class Intake:
    """Hands batches to the agents. Until one is taken, what is fetched is added to it."""

    def __init__(
        self,
        clicks: ClickAgent,
        graph: GraphAgent,
        turns: Turns,
        *,
        owned: Callable[[], Mapping[int, Partition]],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        fail: Callable[[BaseException], None],
        rounds: Rounds | None = None,
    ) -> None:
        """`owned`: the partitions of the worker now. `spawn`: begins a task and sees to what it
        raises. `fail`: ends the process. `rounds`: of the graph; None: as they are meant to be.
        """
        self._clicks = clicks
        self._graph = graph
        self._turns = turns
        self._owned = owned
        self._fail = fail
        self._waiting = SideBySide(spawn)
        self._rounds = rounds or Rounds(_ROUND_SECONDS, _LONGEST_ROUND_SECONDS, _ROUND_SHARE)

    async def on_clicks(self, message: Any, records: list[Any]) -> None:
        """A batch of the clicks or the rekeyed topic. One that has to wait for its partition does
        not hold up those of others.
        """
        number = message.partition
        partition = self._owned().get(number)
        if self._waiting.is_idle(number) and (partition is None or partition.is_free):
            await self._take_clicks(message, records)
        else:
            self._waiting.add(number, partial(self._take_clicks_when_free, message, records))

    async def _take_clicks_when_free(self, message: Any, records: list[Any]) -> None:
        partition = self._owned().get(message.partition)
        if partition is not None and not message.delivery.revoked:
            await self._clicks.free(partition)
        await self._take_clicks(message, records)

    async def _take_clicks(self, message: Any, records: list[Any]) -> None:
        partition = self._taker_of(message)
        if partition is not None:
            with self._fatal():
                await self._clicks.handle(
                    partition,
                    message.topic,
                    records,
                    message.delivery,
                    read_to_end_ms=message.read_to_end_ms,
                )

    async def on_transitions(self, message: Any, records: list[Any]) -> None:
        """A batch of the transitions topic."""
        rounds = self._rounds
        await rounds.due(message.partition, lambda: message.size_bytes >= _LARGE_ROUND_BYTES)
        await self._turns.take()
        rounds.begin(message.partition)
        partition = self._taker_of(message)
        if partition is not None:
            with self._fatal():
                await self._graph.handle(partition, records, message.delivery)
            rounds.end(message.partition, len(self._owned()))

    def _taker_of(self, message: Any) -> Partition | None:
        """The partition that a batch is for; None where its assignment has ended."""
        message.take()
        return None if message.delivery.revoked else self._owned().get(message.partition)

    @contextlib.contextmanager
    def _fatal(self) -> Iterator[None]:
        """What an agent raises ends the process."""
        try:
            yield
        except Exception as error:
            self._fail(error)
            raise
