"""The demo: real clicks through a broker and a worker, and what came of them.

Publishes a click log at a steady pace, subscribes to the recommendations topic like any user of
it, and reads the worker's metrics and status like any operator.
"""

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from streams.broker import EmbeddedBroker
from streams.demo.plan import DemoClick, DemoError, DemoItem, DemoPlan
from streams.demo.readings import Readings
from streams.demo.stage import Moment, Stage
from streams.demo.subscriber import Subscriber
from streams.demo.topics import make_topics, publish_items
from streams.demo.worker_settings import worker_settings
from streams.settings import Settings
from streams.worker_process import WorkerProcess

__all__ = ["DemoClick", "DemoError", "DemoItem", "DemoPlan", "run"]


def run(show: DemoPlan, view: Callable[[Moment], None]) -> dict[str, Any]:
    """Run the demo; returns the summary (one JSON object). Raises `DemoError`.

    1. A broker, if none is given, and the topics that the demo publishes to.
    2. A worker, which makes the other topics, and the catalogue; wait until it knows all of it.
    3. The subscriber, before the first click, so that it sees every list.
    4. The clicks, until all of them are processed and the last list has arrived.
    """
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = stack.enter_context(EmbeddedBroker()) if show.bootstrap is None else None
        flags = worker_settings(
            bootstrap=show.bootstrap or (broker.bootstrap if broker else ""),
            embedded=broker is not None,
            model_dir=show.model_dir,
            log_seconds=show.log_seconds,
            directory=directory,
            run_id=f"{time.time_ns():x}"[-8:],
        )
        settings = Settings(**{name: value for name, value in flags.items() if name != "config"})
        make_topics(settings, broker)
        worker = stack.enter_context(WorkerProcess(flags, directory / "worker.log"))
        publish_items(settings, show.items)
        readings = Readings(f"http://127.0.0.1:{settings.metrics_port}", worker)
        readings.wait_ready(len(show.items))
        subscriber = Subscriber(settings)
        subscriber.start()
        stack.callback(subscriber.stop)
        stage = Stage(show, settings, subscriber, readings, view)
        stage.play()
        return stage.summary("embedded" if broker else "kafka")
