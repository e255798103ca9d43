"""The checks: what they find, and that each fault comes with advice."""

import os
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from streams.broker import EmbeddedBroker
from streams.checks import Finding, _one_onnxruntime, run_checks
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
