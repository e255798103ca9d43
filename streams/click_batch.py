"""Click batch: records of one partition on their way through the pipeline."""

from collections import Counter
from collections.abc import Sequence

from streams.click import Click
from streams.effects import ClickEffects, DeadLetter, Links, Record, Table
from streams.pseudonym import Pseudonyms
from streams.reject import Reject
from streams.window import Window

_PSEUDONYMOUS = "pseudonymous: see the source record"


class ClickBatch:
    """Columns of a batch, and the effects that are gathered.

    offsets, times_ms: of the records. clicks: of every record; None for an erasure and for what is
    not folded here. predecessors: the items that each click links, None where it links none.
    """

    __slots__ = (
        "clicks",
        "effects",
        "is_pseudonymous",
        "offsets",
        "predecessors",
        "pseudonyms",
        "records",
        "source",
        "times_ms",
        "windows",
    )

    def __init__(
        self,
        records: Sequence[Record],
        source: int,
        windows: Table[Window],
        pseudonyms: Pseudonyms | None,
        *,
        is_keyed: bool,
    ) -> None:
        """`pseudonyms`: under which users are known, None for none. `is_keyed`: the records are
        their producers' and have ids, from which pseudonyms are made; else they have pseudonyms.
        """
        self.records = records
        self.source = source
        self.windows = windows
        self.is_pseudonymous = pseudonyms is not None
        """Whether nothing that may lead to a user is to leave."""
        self.pseudonyms = pseudonyms if is_keyed else None
        self.offsets = [record.offset for record in records]
        self.times_ms = [record.timestamp for record in records]
        self.clicks: list[Click | None] = []
        self.predecessors: list[list[str | None] | None] = [None] * len(records)
        links = Links(self.offsets, self.clicks, self.predecessors)
        self.effects = ClickEffects(links, {}, {}, {}, [], [], [], Counter())

    def refuse(self, record: Record, reject: Reject) -> None:
        """A dead letter of the record as it came; where users have pseudonyms, only where it stands
        and the reason: it is not known what in such a record names the user.
        """
        key = record.key
        if not self.is_pseudonymous:
            letter = DeadLetter(record.offset, key, record.value, record.headers, reject)
        else:
            if key and self.pseudonyms is not None:
                key = self.pseudonyms.of_bytes(key).encode()
            letter = DeadLetter(record.offset, key, None, (), Reject(reject.reason, _PSEUDONYMOUS))
        self.effects.dead_letters.append(letter)
