"""What `freshrec check` looks at: each check says what it found and, for a fault, what to do."""

from __future__ import annotations

import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

import msgspec
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams.access_faults import NotAdmittedError, NotPermittedError
from streams.settings import FILE_SUFFIX, SECRETS_OF_FILES, Settings

Level = Literal["ok", "note", "fault"]

_MIN_FREE_BYTES = 1 << 30


class Finding(msgspec.Struct, frozen=True):
    """The result of one check. A `note` is worth knowing and stops nothing."""

    check: str
    level: Level
    words: str
    advice: str = ""


def run_checks(settings: Settings, *, broker_timeout_seconds: float = 5.0) -> Iterator[Finding]:
    """All findings, in the order in which a first start would meet them."""
    refusal = _admission(settings)
    if refusal is not None:
        yield refusal
        yield from _beside_brokers(settings)
        return
    partitions = _partition_counts(settings, broker_timeout_seconds)
    if isinstance(partitions, Finding):
        yield partitions
    else:
        yield Finding("brokers", "ok", f"{settings.bootstrap} answers")
        yield from topic_findings(settings, partitions)
        yield from _rights(settings)
    yield from _beside_brokers(settings)


def _beside_brokers(settings: Settings) -> Iterator[Finding]:
    yield from _secret_files(settings)
    yield from _state_directory(settings)
    yield _one_onnxruntime()
    yield from _model(settings)
    yield _engine(settings)


def _admission(settings: Settings) -> Finding | None:
    """Brokers that answer and do not take the certificate or the credentials; None: they do."""
    from streams.connection import ensure_admitted

    try:
        ensure_admitted(settings)
    except NotAdmittedError as error:
        fault, _, advice = str(error).partition(": ")
        return Finding("brokers", "fault", fault, advice)
    return None


def _rights(settings: Settings) -> Iterator[Finding]:
    """What a worker with these credentials would lack."""
    if settings.security_protocol == "plaintext":
        return
    from streams.permissions import ensure_permitted

    try:
        ensure_permitted(settings, "worker")
    except NotPermittedError as error:
        fault, _, advice = str(error).partition(": ")
        yield Finding("rights", "fault", fault, advice)
    except KafkaException as error:
        yield Finding("rights", "note", f"the brokers do not say: {error.args[0].str()}")
    else:
        yield Finding("rights", "ok", "those of a worker, as docs/security.md lists them")


def _secret_files(settings: Settings) -> Iterator[Finding]:
    """Files of secrets that others than their owner and group can read."""
    for name in SECRETS_OF_FILES:
        path = getattr(settings, name + FILE_SUFFIX)
        if path is not None and path.stat().st_mode & stat.S_IROTH:
            yield Finding(
                "secrets", "note", f"{path} can be read by every user of this machine",
                f"chmod o= {path}",
            )  # fmt: skip


def _partition_counts(settings: Settings, timeout_seconds: float) -> dict[str, int] | Finding:
    try:
        listed = AdminClient(settings.librdkafka(), logger=_silent()).list_topics(
            timeout=timeout_seconds
        )
    except KafkaException as error:
        return Finding(
            "brokers",
            "fault",
            f"no broker answers at {settings.bootstrap}: {error.args[0].str()}",
            "start one (freshrec broker), correct --bootstrap, or check the security settings",
        )
    return {name: len(topic.partitions) for name, topic in listed.topics.items()}


def topic_findings(settings: Settings, partitions: Mapping[str, int]) -> Iterator[Finding]:
    """Missing topics, and partition counts that a worker would refuse."""
    from streams.topics import plan

    topics = plan(settings)
    missing = [topic.name for topic in topics if topic.name not in partitions]
    if missing:
        words = f"not there yet: {', '.join(missing)}"
        advice = f"a worker creates them, with {settings.partitions} partitions and"
        advice += f" {settings.replication_factor} replicas where nothing else says how many"
        yield Finding("topics", "note", words, advice)
    wanted = partitions.get(settings.clicks)
    wrong = [
        f"{topic.name} has {partitions[topic.name]}"
        for topic in topics
        if topic.copartitioned and wanted and partitions.get(topic.name, wanted) != wanted
    ]
    if wrong:
        yield Finding(
            "partitions",
            "fault",
            f"{settings.clicks} has {wanted} partitions, but {', '.join(wrong)}",
            "all need one count: delete the differing topics, or use another --topic-prefix",
        )
    elif wanted:
        yield Finding("partitions", "ok", f"{wanted} of {settings.clicks} and of all beside it")


def _state_directory(settings: Settings) -> Iterator[Finding]:
    if settings.store == "memory":
        yield Finding("state", "note", "state is kept in memory and recovered from the changelogs")
        return
    directory = settings.state_dir.absolute()
    while not directory.exists():  # a worker makes what is missing; a check changes nothing
        directory = directory.parent
    try:
        with tempfile.TemporaryFile(dir=directory):
            free = shutil.disk_usage(directory).free
    except OSError as error:
        yield Finding(
            "state", "fault", f"cannot write in {directory}: {error.strerror}",
            "give this user the right to write there, or say --state DIR",
        )  # fmt: skip
        return
    words = f"{directory} can be written, {free / (1 << 30):.1f} GiB free"
    if free < _MIN_FREE_BYTES:
        yield Finding("state", "fault", words, "free some space, or say --state DIR")
    else:
        yield Finding("state", "ok", words)


def _one_onnxruntime(installed: Callable[[str], str] = version) -> Finding:
    """`onnxruntime` and `onnxruntime-gpu` share an import name; together they break each other."""
    found = []
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            found.append(f"{name} {installed(name)}")
        except PackageNotFoundError:
            continue
    if len(found) == 1:
        return Finding("onnxruntime", "ok", found[0])
    words = "none is installed" if not found else f"{' and '.join(found)} are both installed"
    advice = "pip uninstall -y onnxruntime onnxruntime-gpu, then install freshrec again"
    return Finding("onnxruntime", "fault", words, advice)


def _model(settings: Settings) -> Iterator[Finding]:
    if not settings.encoder:
        yield Finding("model", "note", "the encoder is switched off: lists come from the graph")
        return
    if settings.model_dir is None:
        yield Finding(
            "model", "note", "no model is given: lists come from the graph",
            "train one (freshrec train) and say --model DIR",
        )  # fmt: skip
        return
    from model.artifact import ArtifactError
    from model.scorer import EncoderScorer

    try:
        scorer = EncoderScorer.load(settings.model_dir, engine="cpu")
    except ArtifactError as error:
        yield Finding(
            "model", "fault", str(error), "export or train it again, or say another --model"
        )
        return
    words = f"{scorer.name} {scorer.version}, {len(scorer.items)} items, smoke inference matches"
    yield Finding("model", "ok", words)


def _engine(settings: Settings) -> Finding:
    import onnxruntime

    from model.scorer import EngineError, choose_providers, cuda_devices

    devices = cuda_devices()
    try:
        providers = choose_providers(
            settings.engine, devices, onnxruntime.get_available_providers()
        )
    except EngineError as error:
        advice = "pip install 'freshrec[gpu]' and an NVIDIA driver, or say --engine cpu"
        return Finding("engine", "fault", str(error), advice)
    return Finding("engine", "ok", f"{settings.engine}: {providers[0]}, {devices} CUDA devices")


def _silent() -> object:
    """A logger for a client whose failure is reported in one sentence by the caller."""
    import logging

    silent = logging.getLogger("freshrec.check.client")
    silent.propagate = False
    silent.addHandler(logging.NullHandler())
    return silent
