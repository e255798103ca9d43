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
from streams.transitions import SentPositions, TransitionBatch, owner_of
from streams.window import Outcome, Window, WindowConfig, fold

Headers = Sequence[tuple[str, bytes]]

_OWNER_CACHE_ITEMS = 200_000


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


class ClickPipeline:
    """Decode, validate, fold into windows, derive transitions."""

    def __init__(self, config: PipelineConfig) -> None:
        self._config = config
        self._owners: dict[str, int] = {}
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
        config = self._config
        limits = config.limits
        window_config = config.window
        positive = config.event_types.effects
        applied = Outcome.APPLIED
        source = sent.source
        pseudonyms = self._pseudonyms if rekey else None
        events: Counter[str] = Counter()
        effects = ClickEffects({}, {}, {}, [], [], [], events)
        changed = effects.changed
        trials = effects.trials
        outgoing = effects.transitions
        get_window = windows.get
        put_window = windows.put
        for record in records:
            value = record.value
            if value is None:
                self._erase(record, windows, effects, pseudonyms)
                continue
            now_ms = record.timestamp
            click = decode_click(value, record.headers, now_ms, limits)
            if isinstance(click, Reject):
                effects.dead_letters.append(self._dead_letter(record, click, pseudonyms))
                continue
            user_id = click.user_id
            if rekey:
                key = user_id.encode()
                if pseudonyms is not None:
                    user_id = pseudonyms.of_bytes(key)
                if record.key != key:
                    effects.rekeyed.append(_rekeyed(record, key, user_id, click))
                    continue
            offset = record.offset
            event_type = click.event_type
            before = get_window(user_id)
            late = before is not None and click.timestamp_ms < before.newest_ms
            window, outcome, predecessors = fold(
                before, click, source, offset, now_ms, window_config
            )
            # A replayed click changes nothing, but its effects may never have left: the window
            # goes to the changelog again, its transitions and its list are sent again.
            put_window(user_id, window)
            of_interest = event_type in positive
            if outcome is applied:
                events[event_type] += 1
                if late:
                    effects.late += 1
                if of_interest:
                    trials.append((user_id, click.item_id))
                    if predecessors is None:
                        effects.screened += 1
            elif outcome is Outcome.DUPLICATE:
                effects.duplicates += 1
                continue
            elif outcome is Outcome.LIMITED:
                effects.dead_letters.append(self._dead_letter(record, self._too_fast, pseudonyms))
                continue
            else:
                effects.replayed += 1
            # Event ids are the producers' and may name the user.
            event_id = click.event_id if self._pseudonyms is None else None
            changed[user_id] = Change(window, event_id, offset, click.timestamp_ms, now_ms)
            if of_interest and predecessors is not None:
                self._route(click, source, offset, predecessors, outgoing)
        for partition, batch in outgoing.items():
            sent.chain(partition, batch)
        return effects

    def _route(
        self,
        click: Click,
        source: int,
        offset: int,
        predecessors: list[str | None],
        outgoing: dict[int, TransitionBatch],
    ) -> None:
        """Tell every graph partition concerned its part of one click."""
        item_id = click.item_id
        owners = self._owners
        owner = owners.get(item_id)
        if owner is None:
            owner = self._owner(item_id)
        batch = outgoing.get(owner)
        if batch is None:
            batch = outgoing[owner] = TransitionBatch.empty(source)
        time_ms = click.timestamp_ms
        event_type = click.event_type
        batch.owned.append(batch.add(offset, time_ms, item_id, event_type))
        distance = 0
        for source_item in predecessors:
            distance += 1
            if source_item is None:
                continue
            partition = owners.get(source_item)
            if partition is None:
                partition = self._owner(source_item)
            batch = outgoing.get(partition)
            if batch is None:
                batch = outgoing[partition] = TransitionBatch.empty(source)
            offsets = batch.offsets
            if offsets and offsets[-1] == offset:  # what `add` would find out at the cost of a call
                row = len(offsets) - 1
            else:
                row = batch.add(offset, time_ms, item_id, event_type)
            followers = batch.edges.get(source_item)
            if followers is None:
                batch.edges[source_item] = [row, distance]
            else:
                followers.append(row)
                followers.append(distance)

    def _owner(self, item_id: str) -> int:
        """Work out an owner and remember it."""
        owners = self._owners
        if len(owners) >= _OWNER_CACHE_ITEMS:
            owners.clear()
        owner = owners[item_id] = owner_of(item_id, self._config.partitions)
        return owner

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

    def _erase(
        self,
        record: Record,
        windows: Table[Window],
        effects: ClickEffects,
        pseudonyms: Pseudonyms | None,
    ) -> None:
        """A null value: forget the user named by the key."""
        try:
            user_id = (record.key or b"").decode()
        except UnicodeDecodeError:
            user_id = ""
        if not user_id or len(user_id) > self._config.limits.max_id_bytes:
            reject = Reject(
                RejectReason.BAD_ID, "an erasure (null value) needs the user id as record key"
            )
            effects.dead_letters.append(self._dead_letter(record, reject, pseudonyms))
            return
        if pseudonyms is not None:
            user_id = pseudonyms.of(user_id)
        windows.delete(user_id)
        effects.changed.pop(user_id, None)
        effects.erased[user_id] = record.offset


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
