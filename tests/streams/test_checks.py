"""The checks: what they find, and that each fault comes with advice."""

import os
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest

from model.scorer import EncoderScorer
from streams import machine_checks
from streams.broker import EmbeddedBroker
from streams.checks import Finding, _of_cluster, _one_onnxruntime, run_checks
from streams.settings import Settings
from streams.topic_checks import topic_findings
from streams.topics import plan


def _by_check(settings: Settings) -> dict[str, Finding]:
    found = run_checks(settings, broker_timeout_seconds=0.5)
    return {finding.check: finding for finding in found}


def test_every_fault_comes_with_advice(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, not a directory")
    settings = Settings(
        bootstrap="127.0.0.1:1", state_dir=tmp_path / "state" / "deeper",
        model_dir=tmp_path / "none", engine="cuda",
    )  # fmt: skip
    found = _by_check(settings)
    assert {"brokers", "state", "model"} <= {c for c, f in found.items() if f.level == "fault"}
    assert all(finding.advice for finding in found.values() if finding.level == "fault")


def test_a_check_makes_no_state_directory(tmp_path: Path) -> None:
    settings = Settings(bootstrap="127.0.0.1:1", state_dir=tmp_path / "a" / "b")
    assert _by_check(settings)["state"].level == "ok"
    assert list(tmp_path.iterdir()) == []


def test_a_broker_that_answers_is_found_and_missing_topics_are_a_note(tmp_path: Path) -> None:
    with EmbeddedBroker() as broker:
        settings = Settings(bootstrap=broker.bootstrap, state_dir=tmp_path)
        found = {finding.check: finding for finding in run_checks(settings)}
    assert found["brokers"].level == "ok"
    assert found["brokers"].words.endswith("a development broker")
    assert found["topics"].level == "note"
    assert "clicks" in found["topics"].words
    assert {"kernels", "interpreter", "memory"} <= set(found)


def test_another_role_is_told_nothing_of_a_workers_machine_state_and_model() -> None:
    settings = Settings(bootstrap="127.0.0.1:1")
    found = run_checks(settings, "publisher", broker_timeout_seconds=0.5)
    assert {finding.check for finding in found} == {"brokers", "clock"}


def test_a_path_that_may_not_be_looked_at_is_a_fault_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    token = hidden / "token"
    token.write_text("secret")
    settings = Settings(
        bootstrap="127.0.0.1:1", state_dir=hidden / "state", lookup_token_file=token
    )
    as_it_is = Path.stat

    def stat(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if path.parent == hidden:
            raise PermissionError(13, "Permission denied")
        return as_it_is(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", stat)
    found = _by_check(settings)
    for check in ("state", "secrets"):
        assert found[check].level == "fault"
        assert "Permission denied" in found[check].words


def test_a_secret_s_file_that_everybody_reads_is_a_note_with_the_command_that_shuts_it(
    tmp_path: Path,
) -> None:
    token = tmp_path / "the token"
    token.write_text("secret")
    settings = Settings(bootstrap="127.0.0.1:1", lookup_token_file=token)
    token.chmod(0o640)
    assert "secrets" not in _by_check(settings)
    token.chmod(0o644)
    found = _by_check(settings)["secrets"]
    assert (found.level, found.advice) == ("note", f"chmod o= '{token}'")


def test_topics_that_are_not_shown_are_a_note_with_the_command_that_shows_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings()
    hidden = [settings.recommendations]
    monkeypatch.setattr("streams.topic_checks.describe", lambda *_: ({}, hidden))
    metadata = SimpleNamespace(topics={}, brokers={})
    (found,) = _of_cluster(settings, "subscriber", None, metadata, 1.0)
    assert (found.check, found.level) == ("configuration", "note")
    assert found.advice.endswith("--operation DescribeConfigs --topic recommendations")


def test_files_for_the_state_that_is_on_disk_are_reckoned_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    disk = machine_checks.Disk(tmp_path, 1 << 40, None, None, state_bytes=1 << 40)
    monkeypatch.setattr(machine_checks, "look_at_disk", lambda _: disk)
    monkeypatch.setattr(machine_checks, "open_file_limit", lambda: 20_000)
    assert _by_check(Settings(bootstrap="127.0.0.1:1"))["open files"].level == "fault"


def test_a_model_that_is_not_wanted_or_cannot_be_read_is_told_as_that(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = Settings(bootstrap="127.0.0.1:1", model_dir=tmp_path)
    off = _by_check(settings.replace(encoder=False))["model"]
    assert off.level == "note"
    assert "switched off" in off.words

    def load(*_: object, **__: object) -> EncoderScorer:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(EncoderScorer, "load", load)
    shut = _by_check(settings)["model"]
    assert shut.level == "fault"
    assert "Permission denied" in shut.words


def test_state_is_looked_for_where_a_link_leads(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "state").symlink_to("disk")
    settings = Settings(bootstrap="127.0.0.1:1", state_dir=tmp_path / "state")
    assert f"{tmp_path.resolve() / 'disk'} can be written" in _by_check(settings)["state"].words


def test_partition_counts_that_a_worker_would_refuse_are_a_fault() -> None:
    settings = Settings()
    counts = {topic.name: 4 for topic in plan(settings)}
    (fine,) = topic_findings(settings, "worker", counts)
    assert fine.level == "ok"
    (wrong,) = topic_findings(settings, "worker", counts | {settings.transitions_topic: 3})
    assert wrong.level == "fault"
    assert f"{settings.transitions_topic} has 3 partitions" in wrong.words
    (free,) = topic_findings(settings, "worker", counts | {settings.items: 9})
    assert free.level == "ok"


@pytest.mark.parametrize(
    ("present", "level"),
    [
        ({"onnxruntime": "1"}, "ok"),
        ({"onnxruntime-gpu": "1"}, "ok"),
        ({"onnxruntime": "1", "onnxruntime-gpu": "1"}, "fault"),
        ({}, "fault"),
    ],
)
def test_exactly_one_onnxruntime_may_be_installed(present: dict[str, str], level: str) -> None:
    def installed(name: str) -> str:
        if name not in present:
            raise PackageNotFoundError(name)
        return present[name]

    assert _one_onnxruntime(installed).level == level
