"""Progress bars on stderr, for a training and for a search over trainings."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


class TrainingProgress:
    """A bar from 0 to `max_seconds`; invisible where not wanted or where stderr is no terminal."""

    def __init__(self, max_seconds: float, *, visible: bool) -> None:
        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("step {task.fields[step]}  loss {task.fields[loss]:.3f}"),
            TextColumn("best NDCG@10 {task.fields[best]:.4f}"),
            console=Console(stderr=True),
            disable=not visible,
            transient=True,
        )
        self._task = self._progress.add_task("", total=max_seconds, step=0, loss=0.0, best=0.0)

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

    def update(self, seconds: float, step: int, loss: float, best: float) -> None:
        """Where the training stands; best is the validation NDCG@10, negative before the first."""
        self._progress.update(
            self._task, completed=seconds, step=step, loss=loss, best=max(best, 0.0)
        )


class SearchProgress:
    """A bar over the trials of a search, the running one by its share of its time."""

    def __init__(self, trials: int, *, visible: bool) -> None:
        self._progress = Progress(
            TextColumn("search"),
            BarColumn(),
            TextColumn("trial {task.fields[trial]} of {task.total}"),
            TimeElapsedColumn(),
            TextColumn("NDCG@10 {task.fields[now]:.4f}, best {task.fields[best]:.4f}"),
            console=Console(stderr=True),
            disable=not visible,
            transient=True,
        )
        self._ended = 0
        self._task = self._progress.add_task("", total=trials, trial=0, now=0.0, best=0.0)

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

    def begin(self, ended: int, best: float | None) -> None:
        """A trial begins after so many; best is the validation NDCG@10 of those, None without."""
        self._ended = ended
        self._progress.update(
            self._task, completed=ended, trial=ended + 1, now=0.0, best=best or 0.0
        )

    def update(self, share: float, ndcg: float) -> None:
        """The trial is this share of its time old; its NDCG@10, negative before the first."""
        completed = self._ended + min(share, 1.0)
        self._progress.update(self._task, completed=completed, now=max(ndcg, 0.0))
