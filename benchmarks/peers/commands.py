"""How each peer is started; those that need something of their own get it into the cache once."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from streams.broker_jars import cache_dir, find_java

HERE = Path(__file__).parent
QUIXSTREAMS = "quixstreams==3.28.1"
_BUILD_SECONDS = 600


class PeerUnavailable(RuntimeError):  # noqa: N818 - a state of the machine, not a defect
    """A peer cannot be run here; the message says why."""


def _module(name: str) -> Callable[[], list[str]]:
    return lambda: [sys.executable, "-m", f"benchmarks.peers.{name}"]


def _faust() -> list[str]:
    return [*_module("stock_faust")(), "worker"]


def _freshrec() -> list[str]:
    return [sys.executable, "-c", "from streams.cli import main; main()", "worker"]


def _quixstreams() -> list[str]:
    """In an environment of its own: its requirements need not agree with ours."""
    home = cache_dir() / QUIXSTREAMS.replace("==", "-")
    python = home / "bin" / "python"
    if not (home / "complete").exists():
        _build([sys.executable, "-m", "venv", "--clear", str(home)])
        _build([str(python), "-m", "pip", "install", "--quiet", QUIXSTREAMS])
        (home / "complete").touch()
    return [str(python), "-m", "benchmarks.peers.quix"]


def _kafka_streams(guarantee: str, commit_ms: int) -> Callable[[], list[str]]:
    def command() -> list[str]:
        java = find_java()
        version = f"{(HERE / 'kafka_streams/pom.xml').stat().st_mtime_ns:x}"
        home = cache_dir() / f"kafka-streams-peer-{version}"
        if not home.is_dir():
            _build_java(home)
        return [str(java), "-Xmx1g", "-cp", f"{home}/classes:{home}/jars/*", "WindowJob",
                guarantee, str(commit_ms)]  # fmt: skip

    return command


def _build_java(home: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise PeerUnavailable("Kafka Streams needs Maven to be built, and no mvn was found")
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent, prefix="building-") as scratch:
        project = Path(scratch, "project")
        shutil.copytree(HERE / "kafka_streams", project)
        _build([maven, "-q", "-B", "-f", str(project / "pom.xml"), "compile",
                "dependency:copy-dependencies", "-DincludeScope=runtime",
                "-DoutputDirectory=target/jars"])  # fmt: skip
        target = project / "target"
        done = Path(scratch, "done")
        done.mkdir()
        (target / "classes").rename(done / "classes")
        (target / "jars").rename(done / "jars")
        done.rename(home)


def _build(command: list[str]) -> None:
    outcome = subprocess.run(
        command, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False
    )
    if outcome.returncode != 0:
        words = (outcome.stdout + outcome.stderr).strip().splitlines()[-3:]
        raise PeerUnavailable(f"{json.dumps(command[:4])} failed: {' '.join(words)}")


COMMANDS: dict[str, Callable[[], list[str]]] = {
    "freshrec": _freshrec,
    "stock_faust": _faust,
    "quixstreams": _quixstreams,
    "kafka_streams_alo": _kafka_streams("at_least_once", 1000),
    "kafka_streams_eos": _kafka_streams("exactly_once_v2", 100),
    "plain_aiokafka": _module("plain_aiokafka"),
    "confluent_consume": _module("confluent_consume"),
}
"""Name in the figures -> command, built where that is needed."""
ONE_STORE = {
    "quixstreams": "rocksdb",
    "plain_aiokafka": "memory",
    "confluent_consume": "memory",
}
"""Peers without the choice."""
