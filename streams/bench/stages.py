"""Staged worker: a worker that times what its event loop does, by stage.

Everything is done as ever, and takes longer by the timing. What no stage claims (the event
loop itself, tasks, metrics, commits) is what is left of the loop's processor time.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.producer.sender import Sender, SendProduceReqHandler
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from streams.agents import ClickAgent
from streams.batcher import Batcher
from streams.bench.hollow import HollowGraphPipeline, HollowRecommender
from streams.bench.stopwatch import Stopwatch
from streams.bench.usage import STAGE_METRIC
from streams.graph_agent import GraphAgent
from streams.inference import Inference
from streams.intake import Intake
from streams.list_publication import ListPublication
from streams.loop_consumer import LoopConsumer
from streams.pipeline import ClickPipeline
from streams.publisher import Publisher
from streams.quality import NextClick
from streams.stores import MemoryStore, RocksStore
from streams.tables import TablePartition
from streams.transition_outbox import TransitionOutbox
from streams.transport import BatchConsumer
from streams.turns import Turns
from streams.worker import Worker

_CANDIDATES, _GRAPH, _RANKING = "candidates", "graph", "ranking"
_STAGES: tuple[tuple[str, Any, str], ...] = (
    (
        "fetch",
        Fetcher,
        "_proc_fetch_request _fetch_requests_routine _get_actions_per_node fetched_records",
    ),
    ("fetch", LoopConsumer, "_fetch_records"),
    ("fetch", BatchConsumer, "_drain_messages _wait_next_records _deliver"),
    ("clicks", Intake, "on_clicks"),
    ("clicks", ClickAgent, "handle _finish"),
    ("clicks", ClickPipeline, "fold"),
    ("clicks", Batcher, "submit"),
    ("clicks", NextClick, "judged"),
    (_GRAPH, Intake, "on_transitions"),
    (_GRAPH, ClickPipeline, "tell"),
    (_GRAPH, TransitionOutbox, "put _send_of"),
    (_GRAPH, GraphAgent, "handle _finish"),
    ("states", TablePartition, "take_changes acknowledge"),
    ("batches", Batcher, "_batch_due _next_batch"),
    ("batches", Turns, "take take_first"),
    ("encoder", Inference, "call"),
    ("messages", ListPublication, "publish _confirm"),
    ("send", Publisher, "_send hurry"),
    ("send", MessageAccumulator, "drain_by_nodes"),
    ("send", Sender, "_sender_routine _send_produce_req"),
    ("send", SendProduceReqHandler, "create_request handle_response"),
    ("connection", AIOKafkaClient, "send"),
    ("connection", AIOKafkaConnection, "send _handle_frame"),
    ("store", RocksStore, "apply"),
    ("store", MemoryStore, "apply"),
)
"""`clicks` are windows and what surrounds them; `states`, encoding what goes to the changelogs;
`batches`, waiting for users and turns; `encoder`, calls in place alone; `connection`, to and from
the broker."""


class _Stages(Collector):
    """The stages of a stopwatch as a metric."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self._stopwatch = stopwatch

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Seconds by stage."""
        family = CounterMetricFamily(STAGE_METRIC, "Of the event loop, by stage.", labels=["stage"])
        for stage, seconds in self._stopwatch.seconds.items():
            family.add_metric([stage], seconds)
        yield family


class StagedWorker(Worker):
    """A worker whose metrics tell the seconds of each stage. One a process: functions of its
    classes are replaced.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        stopwatch = Stopwatch()
        for stage, owner, names in _STAGES:
            stopwatch.watch(stage, owner, names.split())
        stopwatch.watch(_CANDIDATES, self.recommender_type, ["prepare"])
        stopwatch.watch(_RANKING, self.recommender_type, ["finish"])
        stopwatch.watch(_GRAPH, self.graph_pipeline_type, ["process"])
        super().__init__(*args, **named)
        self.metrics.registry.register(_Stages(stopwatch))


class StagedHollowWorker(StagedWorker):
    """The same of a hollow worker."""

    recommender_type = HollowRecommender
    graph_pipeline_type = HollowGraphPipeline
