"""The Faust app. Settings come from the environment, as those of a freshrec worker do."""

import os
from typing import Any

import faust

from benchmarks.stock_faust import NAME
from streams.events import Reject, decode_click
from streams.setting_sources import load_settings

WINDOW_EVENTS = 200
PREDECESSORS = 5
LIST_SIZE = 10

settings = load_settings({}, os.environ)
limits = settings.click_limits()
positive = settings.event_type_registry().positive_names
ready = settings.state_dir / "ready"
settings.state_dir.mkdir(parents=True, exist_ok=True)
ready.unlink(missing_ok=True)

app = faust.App(
    NAME,
    broker=[f"kafka://{address}" for address in settings.bootstrap.split(",")],
    store="memory://" if settings.store == "memory" else "rocksdb://",
    datadir=str(settings.state_dir),
    topic_partitions=settings.partitions,
    topic_replication_factor=settings.replication_factor,
    topic_disable_leader=True,
    table_standby_replicas=0,
    web_enabled=False,
    broker_session_timeout=settings.session_timeout_seconds,
    broker_heartbeat_interval=settings.heartbeat_seconds,
    broker_rebalance_timeout=settings.session_timeout_seconds,
    broker_commit_interval=settings.commit_interval_seconds,
)
clicks = app.topic(settings.clicks, key_type=bytes, value_type=bytes, value_serializer="raw")
transitions = app.topic(settings.transitions_topic, key_type=str, value_serializer="json")
dead_letters = app.topic(settings.dead_letter_topic, value_type=bytes, value_serializer="raw")
recommendations = app.topic(settings.recommendations, key_type=str, value_serializer="json")

windows = app.Table("windows", default=list)
"""User -> [item, event id], oldest first."""
graph = app.Table("graph", default=dict)
"""Item -> next item -> transitions."""
popularity = app.Table("popularity", default=int)
"""Item -> clicks."""


@app.agent(clicks)
async def on_clicks(stream: Any) -> None:
    """Check, fold into the window, tell the graph, publish a list."""
    async for event in stream.events():
        message = event.message
        now_ms = int(message.timestamp * 1000)
        click = None
        if event.value is not None:
            click = decode_click(event.value, [], now_ms, limits)
        if click is None or isinstance(click, Reject):
            await dead_letters.send(
                value=event.value or b"",
                headers={"source": f"{message.partition}/{message.offset}".encode()},
            )
            continue
        window = windows[click.user_id]
        if click.event_type not in positive:
            continue
        if any(event_id == click.event_id for _, event_id in window):
            continue
        for item, _ in window[-PREDECESSORS:]:
            await transitions.send(key=item, value={"next": click.item_id})
        window.append([click.item_id, click.event_id])
        windows[click.user_id] = window[-WINDOW_EVENTS:]
        popular = list(dict.fromkeys(item for item, _ in reversed(window)))[:LIST_SIZE]
        await recommendations.send(
            key=click.user_id,
            value={"items": popular, "partition": message.partition, "offset": message.offset},
        )
        await transitions.send(key=click.item_id, value={"next": None})


@app.agent(transitions)
async def on_transitions(stream: Any) -> None:
    """Count transitions and clicks of the items of this partition."""
    async for item, transition in stream.items():
        if transition["next"] is None:
            popularity[item] += 1
        else:
            edges = graph[item]
            edges[transition["next"]] = edges.get(transition["next"], 0) + 1
            graph[item] = edges


@app.task  # type: ignore[untyped-decorator]
async def tell_readiness() -> None:
    """A file says that the worker serves."""
    ready.touch()


def main() -> None:
    """Run a worker in the foreground."""
    app.finalize()
    faust.Worker(app, loglevel="info").execute_from_commandline()
