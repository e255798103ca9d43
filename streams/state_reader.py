"""What the HTTP server needs of a running worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

Found = Mapping[str, Any] | msgspec.Struct
"""What a look-up found: an object of JSON."""


class StateReader(Protocol):
    """What the look-ups need of a worker. Called from other threads than the event loop."""

    def item_json(self, item_id: str) -> Found | None:
        """Neighbours, popularity and catalogue entry of an item; None: not known."""

    def ego_json(self, user_id: str) -> Found | None:
        """A user's window and the graph around it; None: not on this worker."""

    def recommendations_json(self, user_id: str) -> Found | None:
        """What was last published for a user; None: nothing on this worker."""

    def evolution_json(self, user_id: str, gap_seconds: int) -> Found | None:
        """Sessions, drift and interest of a user; None: not on this worker."""

    def trending_json(self, limit: int) -> Found:
        """The `limit` items that exceed their usual rate most."""

    def graphml(self) -> bytes:
        """The whole graph as GraphML."""

    def status(self) -> Found:
        """Partitions, model, sizes: what an operator looks at first."""
