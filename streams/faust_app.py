"""The Faust app of a worker: consumer group, transport and the two agents."""

import os
from typing import Any, Protocol

import faust
import mode
from faust.app.base import BootStrategy

from streams import transport
from streams.fetch_gate import FetchGate
from streams.lease import Lease
from streams.settings import Settings


class Handler(Protocol):
    """What the agents hand their batches to."""

    async def on_clicks(self, message: Any, records: list[Any]) -> None:
        """A batch of the clicks or the rekeyed topic."""

    async def on_transitions(self, message: Any, records: list[Any]) -> None:
        """A batch of the transitions topic."""


class _Boot(BootStrategy):
    """Consumer and agents only: sends go through our own producer, HTTP through our server."""

    enable_kafka_producer = False
    enable_web = False
    enable_sensors = False


class WorkerApp(faust.App):
    """Faust app that carries what the transport needs of the worker."""

    BootStrategy = _Boot
    lifecycle: transport.Lifecycle
    settings: Settings
    lease: Lease
    fetch_gate: FetchGate


def faust_app(
    settings: Settings,
    lifecycle: transport.Lifecycle,
    handler: Handler,
    lease: Lease,
    fetch_gate: FetchGate,
) -> WorkerApp:
    """Build the app; nothing connects before it is started. Its heartbeats renew the lease, its
    fetches pass the gate.
    """
    transport.register()
    app = WorkerApp(
        settings.group,
        broker=[f"{transport.SCHEME}://{address}" for address in settings.bootstrap.split(",")],
        store="memory://",
        autodiscover=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        broker_client_id=f"freshrec-{settings.instance_id or os.getpid()}",
        broker_commit_interval=settings.commit_interval_seconds,
        broker_session_timeout=settings.session_timeout_seconds,
        broker_heartbeat_interval=settings.heartbeat_seconds,
        broker_rebalance_timeout=settings.session_timeout_seconds,
        broker_request_timeout=max(
            settings.request_timeout_seconds, settings.session_timeout_seconds
        ),
        broker_max_poll_records=settings.max_poll_records,
        broker_max_poll_interval=max(300.0, settings.session_timeout_seconds),
        consumer_group_instance_id=settings.instance_id,
        consumer_max_fetch_size=4 * 1024 * 1024,
        stream_recovery_delay=0.0,
        stream_buffer_maxsize=16,
        stream_wait_empty=True,
        agent_supervisor=mode.CrashingSupervisor,
        datadir=str(settings.state_dir),
    )
    app.lifecycle = lifecycle
    app.settings = settings
    app.lease = lease
    app.fetch_gate = fetch_gate
    _define_agents(app, settings, handler)
    return app


def _define_agents(app: WorkerApp, settings: Settings, handler: Handler) -> None:
    raw: dict[str, Any] = {
        "key_type": bytes,
        "value_type": bytes,
        "key_serializer": "raw",
        "value_serializer": "raw",
    }
    clicks_topic = app.topic(settings.clicks, settings.rekeyed_topic, **raw)
    transitions_topic = app.topic(settings.transitions_topic, **raw)
    # The transport bounds what waits, a batch of each partition at least. Faust's `app.topic` takes
    # a `maxsize` and forgets it.
    clicks_topic.maxsize = transitions_topic.maxsize = 0

    @app.agent(clicks_topic, name="clicks")
    async def _clicks(stream: Any) -> None:
        unacknowledged = stream.noack()
        async for records in unacknowledged:
            await handler.on_clicks(unacknowledged.current_event.message, records)

    @app.agent(transitions_topic, name="transitions")
    async def _transitions(stream: Any) -> None:
        unacknowledged = stream.noack()
        async for records in unacknowledged:
            await handler.on_transitions(unacknowledged.current_event.message, records)
