"""The pipeline of clicks: a batch of records of one partition becomes state changes and effects.

Pure: a pipeline reads and changes table partitions that it is given, and returns everything
else as values. It sends nothing, reads no clock (a record's own timestamp is "now") and so gives
the same result whenever a batch is replayed, however the records are cut into batches.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol, TypeVar

import msgspec

from streams.event_types import EventTypes
from streams.events import Click, ClickLimits, Reject, RejectReason, decode_click
from streams.graph import GraphConfig
from streams.place import Place
from streams.pseudonym import Pseudonyms
from streams.routing import Router
from streams.trace_context import Trace, trace_of
from streams.transitions import SentPositions, TransitionBatch
from streams.window import Outcome, Window, WindowConfig, fold

Headers = Sequence[tuple[str, bytes]]


class Record(Protocol):
    """What a pipeline reads of a Kafka record (an aiokafka ConsumerRecord fits)."""

    @property
    def offset(self) -> int:
        """Offset in the source partition."""

    @property
    def timestamp(self) -> int:
        """Milliseconds since the epoch: the pipeline's "now"."""

    @property
    def key(self) -> bytes | None:
        """User id, or anything else."""

    @property
    def value(self) -> bytes | None:
        """Click JSON; None asks for the erasure of the user in `key`."""

    @property
    def headers(self) -> Headers:
        """Names and values."""


State = TypeVar("State")


class Table(Protocol[State]):
    """What a pipeline needs of a table partition."""

    def get(self, key: str) -> State | None:
        """State of a key, or None."""

    def put(self, key: str, state: State) -> None:
        """Set the state of a key."""

    def delete(self, key: str) -> None:
        """Remove a key."""


class DeadLetter(msgspec.Struct, frozen=True, gc=False):
    """A record that cannot be used, as it came, and why."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    reject: Reject


class Change(msgspec.Struct, gc=False):
    """A user whose list is to be made anew, and the newest click that asks for it."""

    window: Window
    event_id: str | None
    offset: int
    event_time_ms: int
    record_time_ms: int
    trace: Trace = ()
    """Of that click."""


class Rekeyed(msgspec.Struct, frozen=True, gc=False):
    """A click to forward to where its user's state lives."""

    user_key: bytes
    """Decides the partition: what keyed producers of the clicks topic would put."""
    key: bytes
    value: bytes | None
    headers: Headers
    record: Record
    """As it was read."""


class ClickEffects(msgspec.Struct):
    """What a batch of clicks asks the shell to do, and what is to be counted."""

    transitions: dict[int, TransitionBatch]
    """By graph partition."""
    changed: dict[str, Change]
    """By user, the latest change only."""
    erased: dict[str, int]
    """User -> offset of the erasure request."""
    dead_letters: list[DeadLetter]
    rekeyed: list[Rekeyed]
    """Clicks whose key is not their user."""
    trials: list[tuple[str, str]]
    """User and item of every click of interest folded for the first time, to be judged against
    the list that the user had."""
    events: Counter[str]
    duplicates: int = 0
    screened: int = 0
    """Clicks of interest that were kept from the graph, since their user has too many."""
    replayed: int = 0
    late: int = 0


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


class _Batch:
    """A batch of clicks on its way through the pipeline.

    clicks: of every record; None for an erasure and for what is not folded here. predecessors: the
    items that each click links, None where it links none.
    """

    __slots__ = (
        "clicks",
        "effects",
        "predecessors",
        "pseudonyms",
        "records",
        "source",
        "windows",
    )

    def __init__(
        self,
        records: Sequence[Record],
        source: int,
        windows: Table[Window],
        pseudonyms: Pseudonyms | None,
    ) -> None:
        """`pseudonyms`: to make of users and keys; None where they are such already."""
        self.records = records
        self.source = source
        self.windows = windows
        self.pseudonyms = pseudonyms
        self.clicks: list[Click | None] = []
        self.predecessors: list[list[str | None] | None] = [None] * len(records)
        self.effects = ClickEffects({}, {}, {}, [], [], [], Counter())


class ClickPipeline:
    """Decode, validate, fold into windows, derive transitions."""

    def __init__(self, config: PipelineConfig) -> None:
        self._config = config
        self._router = Router(config.partitions)
        key = config.pseudonym_key
        self._pseudonyms = None if key is None else Pseudonyms(key)
        window = config.window
        self._too_fast = Reject(
            RejectReason.RATE_LIMITED,
            f"the user's clicks are more than {1e6 / max(1, window.click_us):g} a second, and"
            f" {window.burst} at once",
        )

    def process(
        self,
        records: Sequence[Record],
        windows: Table[Window],
        sent: SentPositions,
        *,
        rekey: bool,
    ) -> ClickEffects:
        """Fold one batch of one source (`sent.source`), in offset order.

        With `rekey`, a click whose key is not its user id is handed back instead of folded
        (its user's window lives in another partition). Without, the records are such as were handed
        back, and have pseudonyms already where there are any.
        """
        batch = _Batch(records, sent.source, windows, self._pseudonyms if rekey else None)
        of_users = self._read(batch, rekey=rekey)
        for user_id, positions in of_users.items():
            self._fold_user(user_id, positions, batch)
        effects = batch.effects
        effects.dead_letters.sort(key=_offset_of)
        offsets = [record.offset for record in records]
        effects.transitions = self._router.route(
            offsets, batch.clicks, batch.predecessors, sent.source
        )
        for partition, transitions in effects.transitions.items():
            sent.chain(partition, transitions)
        return effects

    def _read(self, batch: "_Batch", *, rekey: bool) -> dict[str, list[int]]:
        """Decode a batch; by user, where in it their clicks and erasures stand.

        A user's window is then touched once in a batch, and not once a click: what a fold costs is
        mostly waiting for memory.
        """
        limits = self._config.limits
        pseudonyms = batch.pseudonyms
        effects = batch.effects
        add = batch.clicks.append
        of_users: dict[str, list[int]] = {}
        for position, record in enumerate(batch.records):
            value = record.value
            if value is None:
                add(None)
                erased = self._erased_user(record, effects, pseudonyms)
                if erased is not None:
                    of_users.setdefault(erased, []).append(position)
                continue
            click = decode_click(value, record.headers, record.timestamp, limits)
            if isinstance(click, Reject):
                add(None)
                effects.dead_letters.append(self._dead_letter(record, click, pseudonyms))
                continue
            user_id = click.user_id
            if rekey:
                key = user_id.encode()
                if pseudonyms is not None:
                    user_id = pseudonyms.of_bytes(key)
                if record.key != key:
                    add(None)
                    effects.rekeyed.append(_rekeyed(record, key, user_id, click))
                    continue
            add(click)
            positions = of_users.get(user_id)
            if positions is None:
                of_users[user_id] = [position]
            else:
                positions.append(position)
        return of_users

    def _fold_user(self, user_id: str, positions: list[int], batch: "_Batch") -> None:
        """Fold a user's part of a batch."""
        window_config = self._config.window
        positive = self._config.event_types.effects
        applied = Outcome.APPLIED
        records, clicks, effects, source = batch.records, batch.clicks, batch.effects, batch.source
        events = effects.events
        window = batch.windows.get(user_id)
        latest = -1
        for position in positions:
            click = clicks[position]
            record = records[position]
            if click is None:
                window = None
                latest = -1
                batch.windows.delete(user_id)
                effects.erased[user_id] = record.offset
                continue
            event_type = click.event_type
            late = window is not None and click.timestamp_ms < window.newest_ms
            window, outcome, predecessors = fold(
                window, click, source, record.offset, record.timestamp, window_config
            )
            of_interest = event_type in positive
            if outcome is applied:
                events[event_type] += 1
                if late:
                    effects.late += 1
                if of_interest:
                    effects.trials.append((user_id, click.item_id))
                    if predecessors is None:
                        effects.screened += 1
            elif outcome is Outcome.DUPLICATE:
                effects.duplicates += 1
                continue
            elif outcome is Outcome.LIMITED:
                letter = self._dead_letter(record, self._too_fast, batch.pseudonyms)
                effects.dead_letters.append(letter)
                continue
            else:
                effects.replayed += 1
            latest = position
            if of_interest:
                batch.predecessors[position] = predecessors
        if window is None:
            return
        # A replayed click changes nothing, but its effects may never have left: the window
        # goes to the changelog again, its transitions and its list are sent again.
        batch.windows.put(user_id, window)
        newest = clicks[latest] if latest >= 0 else None
        if newest is not None:
            record = records[latest]
            change = Change(window, None, record.offset, newest.timestamp_ms, record.timestamp)
            if self._pseudonyms is None:
                # Both are the producers' and may lead to the user.
                change.event_id = newest.event_id
                if record.headers:
                    change.trace = trace_of(record.headers)
            effects.changed[user_id] = change

    def _dead_letter(
        self, record: Record, reject: Reject, pseudonyms: Pseudonyms | None
    ) -> DeadLetter:
        """As it came; where users have pseudonyms, only where it stands and the reason: it is not
        known what in such a record names the user.

        pseudonyms: to make of the key; None where it is one already.
        """
        if self._pseudonyms is None:
            return DeadLetter(record.offset, record.key, record.value, record.headers, reject)
        key = record.key
        if key and pseudonyms is not None:
            key = pseudonyms.of_bytes(key).encode()
        detail = "pseudonymous: see the source record"
        return DeadLetter(record.offset, key, None, (), Reject(reject.reason, detail))

    def _erased_user(
        self, record: Record, effects: ClickEffects, pseudonyms: Pseudonyms | None
    ) -> str | None:
        """Whom a null value, read from the key, asks to forget; None where it names nobody."""
        try:
            user_id = (record.key or b"").decode()
        except UnicodeDecodeError:
            user_id = ""
        if not user_id or len(user_id) > self._config.limits.max_id_bytes:
            reject = Reject(
                RejectReason.BAD_ID, "an erasure (null value) needs the user id as record key"
            )
            effects.dead_letters.append(self._dead_letter(record, reject, pseudonyms))
            return None
        return user_id if pseudonyms is None else pseudonyms.of(user_id)


def _offset_of(letter: DeadLetter) -> int:
    return letter.offset


class _Placed(msgspec.Struct, gc=False):
    """Of a click that was read already, what `Click` has no more."""

    place: Place | None = None


class _Forwarded(msgspec.Struct, gc=False, omit_defaults=True):
    """A click under a pseudonym: the fields that are used, and nothing that came beside them."""

    user_id: str
    item_id: str
    event_type: str
    timestamp: int
    event_id: str | None = None
    value: float = 1.0
    position: int | None = None
    place: Place | None = None


# Typed, so that fields of no use are skipped as they are where a click is read: what passes there
# must not fail here.
_decode_place = msgspec.json.Decoder(_Placed).decode


def _rekeyed(record: Record, user_key: bytes, user_id: str, click: Click) -> Rekeyed:
    """As it came under its user's key; under a pseudonym, only what is used of it."""
    key = user_id.encode()
    if key == user_key:
        return Rekeyed(user_key, key, record.value, record.headers, record)
    kept = _Forwarded(
        user_id,
        click.item_id,
        click.event_type,
        click.timestamp_ms,
        click.event_id,
        click.value,
        click.position,
    )
    if click.place_cell:
        kept.place = _decode_place(record.value or b"").place
    return Rekeyed(user_key, key, msgspec.json.encode(kept), (), record)
