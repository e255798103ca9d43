"""User fold: what a batch says of one user, folded into their window, and what follows from it."""

from streams.click import Click
from streams.click_batch import ClickBatch
from streams.effects import Change
from streams.kernels import fold_plain
from streams.kernels.pure_windows import WindowBounds
from streams.reject import Reject, RejectReason
from streams.trace_context import trace_of
from streams.window import Outcome, Window, WindowConfig, fold


class UserFold:
    """Folds one user's part of a batch after the other."""

    def __init__(self, config: WindowConfig) -> None:
        self._config = config
        self._effects_of_types = config.event_types.effects
        self._bounds = WindowBounds(
            config.max_events,
            config.max_age_ms,
            config.predecessors,
            config.max_event_ids,
            config.graph_click_ms,
        )
        self._has_no_rate = not config.click_us
        self._too_fast = Reject(
            RejectReason.RATE_LIMITED,
            f"the user's clicks are more than {1e6 / max(1, config.click_us):g} a second, and"
            f" {config.burst} at once",
        )

    def fold(self, user_id: str, positions: list[int], batch: ClickBatch) -> None:
        """Fold what stands at these positions of a batch, in order: clicks and erasures of one
        user. Their window is changed, and the batch's effects and predecessors.
        """
        clicks = batch.clicks
        window = batch.windows.get(user_id)
        latest = -1
        at = 0
        while at < len(positions):
            if window is not None and self._has_no_rate:
                begin, at = at, self._plain(window, user_id, positions, at, batch)
                if at > begin:
                    latest = positions[at - 1]
                if at == len(positions):
                    break
            position = positions[at]
            at += 1
            click = clicks[position]
            if click is None:
                window = None
                latest = -1
                batch.windows.delete(user_id)
                batch.effects.erased[user_id] = batch.offsets[position]
                continue
            window, is_change = self._one(window, user_id, click, position, batch)
            if is_change:
                latest = position
        if window is None:
            return
        # A replayed click changes nothing, but its effects may never have left: the window
        # goes to the changelog again, its transitions and its list are sent again.
        batch.windows.put(user_id, window)
        newest = clicks[latest] if latest >= 0 else None
        if newest is not None:
            record = batch.records[latest]
            change = Change(window, None, record.offset, newest.timestamp_ms, record.timestamp)
            if not batch.is_pseudonymous:
                # Both are the producers' and may lead to the user.
                change.event_id = newest.event_id
                if record.headers:
                    change.trace = trace_of(record.headers)
            batch.effects.changed[user_id] = change

    def _plain(
        self, window: Window, user_id: str, positions: list[int], begin: int, batch: ClickBatch
    ) -> int:
        """Fold clicks as long as they are as most are, in one call: what a fold costs is mostly the
        interpreter. Returns where the first other one stands.
        """
        event_type = window.event_type
        effects = batch.effects
        end, late = fold_plain(
            window,
            user_id,
            batch.clicks,
            positions,
            begin,
            batch.offsets,
            batch.times_ms,
            batch.source,
            self._bounds,
            self._effects_of_types.get(event_type),
            batch.predecessors,
            effects.trials,
        )
        if end > begin:
            effects.events[event_type] += end - begin
            effects.late += late
        return end

    def _one(
        self, window: Window | None, user_id: str, click: Click, position: int, batch: ClickBatch
    ) -> tuple[Window, bool]:
        """Fold any click. The second value says whether it asks for a list."""
        effects = batch.effects
        event_type = click.event_type
        late = window is not None and click.timestamp_ms < window.newest_ms
        window, outcome, predecessors = fold(
            window,
            click,
            batch.source,
            batch.offsets[position],
            batch.times_ms[position],
            self._config,
        )
        of_interest = event_type in self._effects_of_types
        if outcome is Outcome.APPLIED:
            effects.events[event_type] += 1
            if late:
                effects.late += 1
            if of_interest:
                effects.trials.append((user_id, click.item_id))
                if predecessors is None:
                    effects.screened += 1
        elif outcome is Outcome.DUPLICATE:
            effects.duplicates += 1
            return window, False
        elif outcome is Outcome.LIMITED:
            batch.refuse(batch.records[position], self._too_fast)
            return window, False
        else:
            effects.replayed += 1
        if of_interest:
            batch.predecessors[position] = predecessors
        return window, True
