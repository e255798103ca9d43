"""Progress bars on stderr, for a training and for a search over trainings."""

from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn


class _Bar:
    """One bar while it is entered; invisible where not wanted or where stderr is no terminal."""

    def __init__(
        self, *columns: ProgressColumn, total: float, visible: bool, **fields: Any
    ) -> None:
        """fields: what the columns show beside the bar, at first."""
        self._progress = Progress(
            *columns, console=Console(stderr=True), disable=not visible, transient=True
        )
        self._task = self._progress.add_task("", total=total, **fields)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def _show(self, completed: float, **fields: Any) -> None:
        self._progress.update(self._task, completed=completed, **fields)


class TrainingProgress(_Bar):
    """A bar from 0 to `max_seconds`."""

    def __init__(self, max_seconds: float, *, visible: bool) -> None:
        super().__init__(
            TextColumn("training"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("step {task.fields[step]}  loss {task.fields[loss]:.3f}"),
            TextColumn("best NDCG@10 {task.fields[best]:.4f}"),
            total=max_seconds,
            visible=visible,
            step=0,
            loss=0.0,
            best=0.0,
        )

    def update(self, seconds: float, step: int, loss: float, best: float) -> None:
        """Where the training stands; best is the validation NDCG@10, negative before the first."""
        self._show(seconds, step=step, loss=loss, best=max(best, 0.0))


class SearchProgress(_Bar):
    """A bar over the trials of a search, the running one by its share of its time."""

    def __init__(self, trials: int, *, visible: bool) -> None:
        super().__init__(
            TextColumn("search"),
            BarColumn(),
            TextColumn("trial {task.fields[trial]} of {task.total}"),
            TimeElapsedColumn(),
            TextColumn("NDCG@10 {task.fields[now]:.4f}, best {task.fields[best]:.4f}"),
            total=trials,
            visible=visible,
            trial=0,
            now=0.0,
            best=0.0,
        )
        self._ended = 0

    def begin(self, ended: int, best: float | None) -> None:
        """A trial begins after so many; best is the validation NDCG@10 of those, None without."""
        self._ended = ended
        self._show(ended, trial=ended + 1, now=0.0, best=best or 0.0)

    def update(self, share: float, ndcg: float) -> None:
        """The trial is this share of its time old; its NDCG@10, negative before the first."""
        self._show(self._ended + min(share, 1.0), now=max(ndcg, 0.0))
