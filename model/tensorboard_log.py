"""The curve of a fit for TensorBoard; without a directory, nothing is written or imported."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from model.fit_curve import Point


@contextmanager
def tensorboard_log(directory: Path | None) -> Iterator[Callable[[Point], None]]:
    """What takes the points of one fit, from its first one on, and writes them by their step.

    Points that an earlier run wrote into the same directory are hidden: a fit that is taken up
    tells all of its points again. ImportError without the package tensorboard.
    """
    if directory is None:
        yield lambda _point: None
        return
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(directory), purge_step=0)

    def add(point: Point) -> None:
        objective = "masked_items" if point.pretraining else "next_items"
        values = {
            f"training/loss_{objective}": point.loss,
            "training/learning_rate": point.learning_rate,
            "validation/ndcg_at_10": point.ndcg_at_10,
            "validation/hit_rate_at_10": point.hit_rate_at_10,
        }
        for name, value in values.items():
            if value is not None:
                writer.add_scalar(name, value, point.step)
        writer.flush()

    try:
        yield add
    finally:
        writer.close()
