"""Padding plan: which windows of a batch run together, and to what shape they are padded.

Few distinct shapes keep an engine's memory plans and CUDA graphs few; grouping windows of similar
length keeps a long window from making every short one as expensive.
"""

from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

LENGTH_STEPS = (8, 16, 32, 64, 128, 256, 512, 1024)
BATCH_STEPS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

# What one more call of the engine costs, as a number of padded events: two groups are run apart
# only if that saves more.
CALL_COST_EVENTS = 256


class Group(NamedTuple):
    """Rows of a batch that run in one call."""

    rows: list[int]
    length: int  # events each window is padded to
    batch: int  # windows the call is padded to, >= len(rows)


class Buckets(NamedTuple):
    """The shapes an engine may see, ascending."""

    lengths: tuple[int, ...]
    batches: tuple[int, ...]

    @classmethod
    def up_to(cls, max_length: int, max_batch: int) -> "Buckets":
        """Steps below the two maxima, and the maxima themselves."""
        if max_length < 1 or max_batch < 1:
            message = f"buckets need lengths and batches >= 1, not {max_length} and {max_batch}"
            raise ValueError(message)
        return cls(
            (*(step for step in LENGTH_STEPS if step < max_length), max_length),
            (*(step for step in BATCH_STEPS if step < max_batch), max_batch),
        )

    def length_for(self, events: int) -> int:
        """Smallest length that holds a window; the largest one for longer windows."""
        place = bisect_left(self.lengths, events)
        return self.lengths[min(place, len(self.lengths) - 1)]

    def batch_for(self, rows: int) -> int:
        """Smallest batch that holds `rows` windows. ValueError beyond the largest."""
        if rows > self.batches[-1]:
            message = f"a batch of {rows} windows exceeds the largest of {self.batches[-1]}"
            raise ValueError(message)
        return next(batch for batch in self.batches if batch >= rows)

    def plan(
        self, lengths: Sequence[int], *, pad_batch: bool, side_by_side: int = 1
    ) -> list[Group]:
        """Groups that together hold every row exactly once, the cheapest partition.

        lengths: events of each row's window. With `pad_batch` a group's batch is a bucket, else
        its number of rows. side_by_side: calls that run at a time; what is worth it is cut into
        so many parts.
        """
        longest, length_for = self.lengths[-1], _length_table(self.lengths)
        padded = [length_for[events] if events < longest else longest for events in lengths]
        # The longest one for all is dearer than each its own by less than one more call: as a rule.
        length = max(padded, default=0)
        if len(padded) * length - sum(padded) <= CALL_COST_EVENTS:
            all_rows = list(range(len(padded)))
            return self._cut(all_rows, length, side_by_side, pad_batch=pad_batch)
        by_length: dict[int, list[int]] = {}
        for row, length in enumerate(padded):
            by_length.setdefault(length, []).append(row)
        present = sorted(by_length)
        # best[i]: cheapest plan of the i shortest length buckets, and where its last group starts
        best: list[tuple[int, int]] = [(0, 0)]
        for end in range(1, len(present) + 1):
            options = []
            rows = 0
            for start in range(end - 1, -1, -1):
                rows += len(by_length[present[start]])
                cost = rows * present[end - 1] + CALL_COST_EVENTS
                options.append((best[start][0] + cost, start))
            best.append(min(options))
        groups: list[Group] = []
        end = len(present)
        while end:
            start = best[end][1]
            rows_of_group = sorted(
                row for length in present[start:end] for row in by_length[length]
            )
            groups.extend(
                self._cut(rows_of_group, present[end - 1], side_by_side, pad_batch=pad_batch)
            )
            end = start
        return groups

    def _cut(
        self, rows: list[int], length: int, side_by_side: int, *, pad_batch: bool
    ) -> list[Group]:
        if not rows:
            return []
        worth_a_call = -(-CALL_COST_EVENTS // length)
        part = max(-(-len(rows) // side_by_side), worth_a_call)
        limit = min(part, self.batches[-1])
        if len(rows) <= limit:
            parts = [rows]
        else:
            parts = [rows[start : start + limit] for start in range(0, len(rows), limit)]
        return [
            Group(part, length, self.batch_for(len(part)) if pad_batch else len(part))
            for part in parts
        ]


@lru_cache(maxsize=16)
def _length_table(lengths: tuple[int, ...]) -> list[int]:
    """By number of events below the longest length, the smallest length that holds them."""
    return [lengths[bisect_left(lengths, events)] for events in range(lengths[-1])]
