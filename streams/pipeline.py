"""The pipeline of clicks: a batch of records of one partition becomes state changes and effects.

Pure: a pipeline reads and changes table partitions that it is given, and returns everything
else as values. It sends nothing, reads no clock (a record's own timestamp is "now") and so gives
the same result whenever a batch is replayed, however the records are cut into batches.
"""

from collections.abc import Sequence

import msgspec

from streams.click import decode_click
from streams.click_batch import ClickBatch
from streams.click_reader import ClickReader
from streams.effects import ClickEffects, DeadLetter, Links, Record, Table
from streams.event_types import EventTypes
from streams.graph import GraphConfig
from streams.pseudonym import Pseudonyms
from streams.reject import ClickLimits, Reject, RejectReason
from streams.rekeying import rekeyed
from streams.routing import Router
from streams.transitions import SentPositions, TransitionBatch
from streams.user_fold import UserFold
from streams.window import Window, WindowConfig

_NOBODY = Reject(RejectReason.BAD_ID, "an erasure (null value) needs the user id as record key")


class PipelineConfig(msgspec.Struct, frozen=True):
    """Everything the folds need to know."""

    window: WindowConfig
    graph: GraphConfig
    limits: ClickLimits
    event_types: EventTypes
    partitions: int
    """Of the transitions topic: decides who owns an item."""
    pseudonym_key: str | None = None
    """Users are known by their pseudonyms under this key; None: by their ids."""


class ClickPipeline:
    """Decode, validate, fold into windows, derive transitions."""

    def __init__(self, config: PipelineConfig) -> None:
        self._config = config
        self._reader = ClickReader(config.limits)
        self._router = Router(config.partitions)
        key = config.pseudonym_key
        self._pseudonyms = None if key is None else Pseudonyms(key)
        self._users = UserFold(config.window)

    def process(
        self,
        records: Sequence[Record],
        windows: Table[Window],
        sent: SentPositions,
        *,
        rekey: bool,
    ) -> ClickEffects:
        """Fold one batch of one source (`sent.source`), in offset order, and tell the graph."""
        effects = self.fold(records, windows, sent.source, rekey=rekey)
        effects.transitions = self.tell(effects.links, sent)
        return effects

    def fold(
        self, records: Sequence[Record], windows: Table[Window], source: int, *, rekey: bool
    ) -> ClickEffects:
        """Fold one batch of one source, in offset order.

        With `rekey`, a click whose key is not its user id is handed back instead of folded
        (its user's window lives in another partition). Without, the records are such as were handed
        back, and have pseudonyms already where there are any.
        """
        batch = ClickBatch(records, source, windows, self._pseudonyms, is_keyed=rekey)
        of_users = self._read(batch, rekey=rekey)
        fold = self._users.fold
        for user_id, positions in of_users.items():
            fold(user_id, positions, batch)
        effects = batch.effects
        effects.dead_letters.sort(key=_offset_of)
        return effects

    def tell(self, links: Links, sent: SentPositions) -> dict[int, TransitionBatch]:
        """What every graph partition concerned is to be told of clicks of a source, by partition.

        Each is chained to what `sent` says was told before, so it has to be sent before more is
        told.
        """
        told = self._router.route(links.offsets, links.clicks, links.predecessors, sent.source)
        for partition, transitions in told.items():
            sent.chain(partition, transitions)
        return told

    def _read(self, batch: ClickBatch, *, rekey: bool) -> dict[str, list[int]]:
        """Decode a batch; by user, where in it their clicks and erasures stand.

        A user's window is then touched once in a batch, and not once a click: what a fold costs is
        mostly waiting for memory.
        """
        limits = self._config.limits
        pseudonyms = batch.pseudonyms
        add = batch.clicks.append
        of_users: dict[str, list[int]] = {}
        records = batch.records
        at = 0
        while at < len(records):
            if pseudonyms is None:
                at = self._reader.read(records, at, batch.clicks, of_users, is_keyed=rekey)
                if at == len(records):
                    break
            position, record = at, records[at]
            at += 1
            value = record.value
            if value is None:
                add(None)
                erased = self._erased_user(record, batch)
                if erased is not None:
                    of_users.setdefault(erased, []).append(position)
                continue
            click = decode_click(value, record.headers, record.timestamp, limits)
            if isinstance(click, Reject):
                add(None)
                batch.refuse(record, click)
                continue
            user_id = click.user_id
            if rekey:
                key = user_id.encode()
                if pseudonyms is not None:
                    user_id = pseudonyms.of_bytes(key)
                if record.key != key:
                    add(None)
                    batch.effects.rekeyed.append(rekeyed(record, key, user_id, click))
                    continue
            add(click)
            positions = of_users.get(user_id)
            if positions is None:
                of_users[user_id] = [position]
            else:
                positions.append(position)
        return of_users

    def _erased_user(self, record: Record, batch: ClickBatch) -> str | None:
        """Whom a null value, read from the key, asks to forget; None where it names nobody."""
        try:
            user_id = (record.key or b"").decode()
        except UnicodeDecodeError:
            user_id = ""
        if not user_id or len(user_id) > self._config.limits.max_id_bytes:
            batch.refuse(record, _NOBODY)
            return None
        pseudonyms = batch.pseudonyms
        return user_id if pseudonyms is None else pseudonyms.of(user_id)


def _offset_of(letter: DeadLetter) -> int:
    return letter.offset
