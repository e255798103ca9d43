"""A log in the ids of one encoder, and the windows that it is trained and validated on."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from model.data import Sequences
from model.features import FeatureSpec, event_type_ids, window_inputs

IntArray = NDArray[np.int64]
Window = tuple[int, int]  # start and end in `EncodedLog.kept`


class EncodedLog:
    """A log in the ids of one encoder; events of unknown items are left out, as in serving."""

    def __init__(self, log: Sequences, known: IntArray, spec: FeatureSpec) -> None:
        ids = np.zeros(len(log.items), np.int64)
        ids[known] = np.arange(1, len(known) + 1)
        names = event_type_ids(spec.event_types)
        types = np.array([names.get(name, 1) for name in log.event_types], np.int64)
        self.log, self.known, self.spec = log, known, spec
        self.kept = np.flatnonzero(ids[log.item] > 0)  # event indexes
        self.items = ids[log.item[self.kept]]
        self.event_types = types[log.event_type[self.kept]]
        self.times_ms = log.time_ms[self.kept]
        self.place_cells = log.place_cell[self.kept]

    def window_before(self, event: int) -> Window:
        """(start, end) in the kept events of the window that a prediction of `event` sees."""
        start, end = np.searchsorted(self.kept, (self.log.starts[self.log.user[event]], event))
        return max(int(start), int(end) - self.spec.max_length), int(end)

    def inputs(self, windows: Sequence[Window]) -> dict[str, IntArray]:
        """Padded ids of windows (start, end) of the kept events, `lengths` among them."""
        lengths = np.array([end - start for start, end in windows], np.int64)
        chosen = np.concatenate([np.arange(start, end) for start, end in windows])
        arrays = window_inputs(
            self.spec,
            lengths,
            self.items[chosen],
            self.event_types[chosen],
            self.times_ms[chosen],
            self.place_cells[chosen],
            max(int(lengths.max(initial=1)), 1),
        )
        arrays["lengths"] = np.maximum(lengths, 1)
        return arrays


def prediction_examples(encoded: EncodedLog, events: IntArray) -> tuple[list[Window], IntArray]:
    """Windows and target ids of the events that the encoder can be asked about."""
    windows, targets = [], []
    for event in events.tolist():
        window = encoded.window_before(event)
        position = window[1]
        known = position < len(encoded.kept) and encoded.kept[position] == event
        if window[1] > window[0] and known:
            windows.append(window)
            targets.append(int(encoded.items[position]))
    return windows, np.array(targets, np.int64)


def user_spans(encoded: EncodedLog, train_events: NDArray[np.bool_]) -> IntArray:
    """(users, 2) start and end in the kept events of what each user has to train on."""
    log = encoded.log
    trains = train_events[encoded.kept]
    starts = np.searchsorted(encoded.kept, log.starts)
    counts = np.add.reduceat(np.append(trains.astype(np.int64), 0), starts[:-1])
    counts[starts[:-1] == starts[1:]] = 0  # reduceat gives such a user the next one's first
    spans = np.stack([starts[:-1], starts[:-1] + counts], 1)
    return spans[counts >= 2]


def training_batches(
    spans: IntArray,
    max_length: int,
    *,
    batch_size: int,
    last_window_share: float,
    random: np.random.Generator,
) -> Iterator[list[Window]]:
    """Endless batches of training windows, one window a user and epoch.

    A window has one event more than the encoder sees: inputs are all but its last, targets all
    but its first. A batch holds windows of about one length and about `batch_size` windows of mean
    length: what is computed for padding is small, and every step learns from as many events.
    """
    size = max_length + 1
    while True:
        lengths = spans[:, 1] - spans[:, 0]
        slack = np.maximum(lengths - size, 0)
        is_last = random.random(len(spans)) < last_window_share
        offsets = np.where(is_last, slack, random.integers(0, slack + 1))
        starts = spans[:, 0] + offsets
        ends = np.minimum(starts + size, spans[:, 1])
        for rows in _bucketed(ends - starts, batch_size, random):
            yield list(zip(starts[rows].tolist(), ends[rows].tolist(), strict=True))


def _bucketed(lengths: IntArray, batch_size: int, random: np.random.Generator) -> list[IntArray]:
    """Row numbers of all windows in batches of like length and equally many events, shuffled."""
    order = random.permutation(len(lengths))
    order = order[np.argsort(lengths[order], kind="stable")]
    events = np.cumsum(lengths[order])
    batches = -(-len(lengths) // batch_size)
    cuts = np.searchsorted(events, events[-1] / batches * np.arange(1, batches))
    found = [rows for rows in np.split(order, cuts) if len(rows)]
    return [found[index] for index in random.permutation(len(found))]
