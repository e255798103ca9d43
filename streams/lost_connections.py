"""Lost connections: aiokafka on uvloop notices when it writes to one.

asyncio's transports take what is written after they were closed and say nothing, and aiokafka then
learns from its reader that the connection is gone. uvloop's raise a `RuntimeError`, which aiokafka
expects nowhere: it ends the task that keeps the metadata, whoever waits for metadata waits for
good, and with the group's coordinator that is the whole worker
(https://github.com/aio-libs/aiokafka/issues/1038).
"""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

_WRITERS = ("send", "_send_sasl_token")


@cache
def notice_lost_connections() -> None:
    """Have aiokafka's connections in this process fail as they do when a write fails; saying it
    twice does no harm.
    """
    for name in _WRITERS:
        setattr(AIOKafkaConnection, name, _noticing(getattr(AIOKafkaConnection, name)))


def _noticing(write: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(write)
    def noticed(connection: Any, *args: Any, **more: Any) -> Any:
        try:
            return write(connection, *args, **more)
        except RuntimeError as error:
            writer = connection._writer
            if writer is None or not writer.is_closing():
                raise
            connection.close(reason=CloseReason.CONNECTION_BROKEN, exc=error)
            raise KafkaConnectionError(
                f"Connection at {connection.host}:{connection.port} is lost: {error}"
            ) from error

    return noticed
