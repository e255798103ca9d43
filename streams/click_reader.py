"""Click reader: many records of the clicks topic to clicks in one call, while nothing is odd."""

from collections.abc import Sequence
from typing import Any

from streams.click import Click, decode_message
from streams.instant import MAX_INSTANT_MS
from streams.kernels import read_plain
from streams.kernels.pure_clicks import ClickBounds
from streams.place import place_cell
from streams.reject import ClickLimits


class ClickReader:
    """Reads what `decode_click` would accept at first sight, and leaves everything else to it."""

    def __init__(self, limits: ClickLimits) -> None:
        self._event_types = {name: name for name in limits.event_types}
        self._bounds = ClickBounds(
            limits.max_record_bytes,
            limits.max_id_bytes,
            limits.max_age_ms,
            limits.max_future_ms,
            MAX_INSTANT_MS,
        )

    def read(
        self,
        records: Sequence[Any],
        begin: int,
        clicks: list[Click | None],
        of_users: dict[str, list[int]],
        *,
        is_keyed: bool,
    ) -> int:
        """Read records from position `begin` on; the position of the first that is left.

        is_keyed: those whose key is not their user are left. clicks: one a record is added.
        of_users: the positions of the clicks are added to their users'.
        """
        return read_plain(
            records,
            begin,
            decode_message,
            Click,
            place_cell,
            self._event_types,
            self._bounds,
            is_keyed,
            clicks,
            of_users,
        )
