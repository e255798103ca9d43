"""Ports on this machine for servers that a process starts and clients that it tells of them.

They lie below those that Linux gives to outgoing connections. One of those may be taken between the
choice and the start of the server; worse, a client that tries the port of a server that is down
again and again can be given that very port, is then connected to itself, and the server cannot
come back.
"""

import contextlib
import random
import socket

_PORTS = range(15_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on now, all different."""
    with contextlib.ExitStack() as held:
        found: list[int] = []
        while len(found) < count:
            one = held.enter_context(socket.socket())
            port = random.choice(_PORTS)
            with contextlib.suppress(OSError):
                one.bind(("127.0.0.1", port))
                found.append(port)
        return found


def free_port() -> int:
    """One such port."""
    return free_ports(1)[0]
