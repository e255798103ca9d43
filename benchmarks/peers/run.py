"""`freshrec bench peers`: the same clicks through freshrec and through others, in turn.

Every run finds its topic full, works it off in one process and commits. The rate is that between
the commit of the first tenth and the last, so that start-up is no part of it; processor time is
that of the whole process, start included, and memory its most.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import msgspec
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from benchmarks.peers.commands import COMMANDS, ONE_STORE, PeerUnavailable
from benchmarks.peers.process import PeerProcess
from streams.bench.progress import Progress
from streams.bench.workload import Workload, publish
from streams.broker import KafkaCluster
from streams.settings import Settings
from streams.topics import changelog_topic, make_topics

STORES = ("memory", "rocksdb")
_PARTITIONS = 4
_SHORTEST_SECONDS = 0.5
"""Between two commits that tell freshrec's rate, with which all ratios are made: commits are looked
for every twentieth of a second."""
_ROOT = Path(__file__).parents[2]


class PeersBench(msgspec.Struct, frozen=True):
    """What to run."""

    clicks: int = 200_000
    users: int = 2_000
    items: int = 1_000
    rounds: int = 3
    peers: Sequence[str] = tuple(COMMANDS)
    stores: Sequence[str] = STORES
    timeout_seconds: float = 300.0
    """Of one run."""


class StoreFigures(msgspec.Struct):
    """Medians of the rounds with one store."""

    clicks_per_second: dict[str, float]
    cpu_seconds_per_million: dict[str, float]
    peak_rss_bytes: dict[str, int]
    ratios: dict[str, float]
    """Clicks a second of freshrec in the same round to those of the peer; median of the rounds."""
    outputs: dict[str, int]
    """Messages that went out in the last round; those that batch send one for several clicks."""


class PeersFigures(msgspec.Struct):
    """What the run measured; the JSON object of `--json`. The first four are of RocksDB, or of the
    only store that was asked for.
    """

    clicks_per_second: dict[str, float]
    cpu_seconds_per_million: dict[str, float]
    peak_rss_bytes: dict[str, int]
    ratios: dict[str, float]
    clicks: int
    users: int
    rounds: int
    stores: dict[str, StoreFigures]
    unavailable: dict[str, str]
    """Peers that could not be run, with the reason."""


class _Run(msgspec.Struct):
    rate: float
    cpu_seconds_per_million: float
    peak_rss_bytes: int
    outputs: int


def run(bench: PeersBench, tell: Callable[[str], None] = lambda _: None) -> PeersFigures:
    """Run everything in turn. RuntimeError when a peer dies or falls silent."""
    commands: dict[str, list[str]] = {}
    unavailable: dict[str, str] = {}
    for name in bench.peers:
        try:
            commands[name] = COMMANDS[name]()
        except PeerUnavailable as error:
            unavailable[name] = str(error)
            tell(f"{name} is left out: {error}")
    found: dict[tuple[str, str], list[_Run]] = {}
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cluster = stack.enter_context(KafkaCluster())
        for number in range(bench.rounds):
            for store in bench.stores:
                for name, command in commands.items():
                    if ONE_STORE.get(name, store) != store and len(bench.stores) > 1:
                        continue
                    one = _measured(
                        bench, name, command, cluster.bootstrap, store,
                        directory / f"{name}-{store}-{number}",
                    )  # fmt: skip
                    found.setdefault((name, store), []).append(one)
                    tell(f"{number + 1}/{bench.rounds} {store:<7} {name:<18}"
                         f" {one.rate:>8.0f} clicks/s,"
                         f" {one.cpu_seconds_per_million:.0f} CPU-s per million")  # fmt: skip
    stores = {}
    for store in bench.stores:
        of_store = {
            # A peer with one store only is compared with freshrec on either.
            name: found.get((name, store)) or found[name, ONE_STORE[name]]
            for name in commands
        }
        stores[store] = _figures(of_store)
    first = stores.get("rocksdb") or next(iter(stores.values()))
    return PeersFigures(
        first.clicks_per_second,
        first.cpu_seconds_per_million,
        first.peak_rss_bytes,
        first.ratios,
        bench.clicks,
        bench.users,
        bench.rounds,
        stores,
        unavailable,
    )


def _figures(runs: dict[str, list[_Run]]) -> StoreFigures:
    ours = runs.get("freshrec", [])
    ratios = {
        name: round(median(a.rate / b.rate for a, b in zip(ours, theirs, strict=True)), 2)
        for name, theirs in runs.items()
        if ours
    }
    return StoreFigures(
        {name: round(median(one.rate for one in of_peer), 1) for name, of_peer in runs.items()},
        {
            name: round(median(one.cpu_seconds_per_million for one in of_peer), 1)
            for name, of_peer in runs.items()
        },
        {
            name: round(median(one.peak_rss_bytes for one in of_peer))
            for name, of_peer in runs.items()
        },
        ratios,
        {name: of_peer[-1].outputs for name, of_peer in runs.items()},
    )


def _measured(
    bench: PeersBench, name: str, command: list[str], bootstrap: str, store: str, directory: Path
) -> _Run:
    """One run on topics of its own, which are deleted afterwards."""
    directory.mkdir()
    group = f"peers-{time.time_ns():x}"
    settings = Settings(
        bootstrap=bootstrap, group=group, topic_prefix=f"{group}-", partitions=_PARTITIONS
    )
    environment = {"PYTHONPATH": str(_ROOT)}
    if name == "freshrec":
        asyncio.run(make_topics(settings))
        flags = {
            "bootstrap": bootstrap, "group": group, "topic_prefix": f"{group}-",
            "partitions": _PARTITIONS, "store": store, "encoder": "false", "window_events": 50,
            "metrics_port": 0, "state_dir": directory / "state",
        }  # fmt: skip
        environment |= {f"FRESHREC_{key.upper()}": str(value) for key, value in flags.items()}
    else:
        _make_topics(settings, [f"{group}-windows-changelog"])
        environment |= {
            "PEER_BOOTSTRAP": bootstrap, "PEER_GROUP": group, "PEER_CLICKS": settings.clicks,
            "PEER_OUTPUT": settings.recommendations, "PEER_STORE": store,
            "PEER_CHANGELOG": changelog_topic(settings, "windows"),
            "PEER_STATE_DIR": str(directory / "state"),
        }  # fmt: skip
    workload = Workload(clicks=bench.clicks, users=bench.users, items=bench.items)
    publish(settings, workload, time.time_ns() // 1_000_000)
    try:
        with (
            Progress(settings, settings.clicks) as progress,
            Progress(settings, settings.recommendations) as outputs,
            PeerProcess(command, environment, directory / "log") as process,
        ):
            started = progress.wait(bench.clicks // 10, process, bench.timeout_seconds)
            first = progress.committed()
            ended = progress.wait(bench.clicks, process, bench.timeout_seconds)
            return _Run(
                told_rate(name, bench.clicks, first, ended - started),
                process.cpu_seconds() * 1e6 / bench.clicks,
                process.peak_rss_bytes(),
                outputs.end(),
            )
    finally:
        _delete_topics(bootstrap, group)


def told_rate(name: str, clicks: int, first: int, seconds: float) -> float:
    """Clicks a second between two commits, the second `seconds` after the first, at `first`.

    RuntimeError where they tell none. Only freshrec is held to a shortest time: a peer that does
    next to nothing (`confluent_consume`) is soon done with what takes others minutes.
    """
    if first >= clicks or (name == "freshrec" and seconds < _SHORTEST_SECONDS):
        raise RuntimeError(
            f"{name} was done with {clicks} clicks too soon for its rate to be told by its"
            " commits: take more with --clicks"
        )
    return (clicks - first) / max(seconds, 1e-3)


def _make_topics(settings: Settings, changelogs: Sequence[str]) -> None:
    admin = AdminClient({"bootstrap.servers": settings.bootstrap})
    compact = {"cleanup.policy": "compact"}
    new = [
        NewTopic(settings.clicks, _PARTITIONS, 1),
        NewTopic(settings.recommendations, _PARTITIONS, 1),
        NewTopic(changelog_topic(settings, "windows"), _PARTITIONS, 1, config=compact),
        *(NewTopic(topic, _PARTITIONS, 1, config=compact) for topic in changelogs),
    ]
    for future in admin.create_topics(new).values():
        future.result(30)


def _delete_topics(bootstrap: str, prefix: str) -> None:
    """Without what was, the next run has the broker and its memory to itself."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    names = [name for name in admin.list_topics(timeout=10).topics if prefix in name]
    for future in admin.delete_topics(names).values():
        try:
            future.result(30)
        except Exception as error:  # noqa: BLE001  (the figures do not depend on it)
            sys.stderr.write(f"a topic was not deleted: {error}\n")
