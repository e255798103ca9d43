"""`freshrec train`: where its data comes from, what is checked, and what is said of it."""

import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import model.train
from model.data import Sequences
from streams.broker import EmbeddedBroker
from streams.cli import freshrec
from streams.sender import KafkaSender, ensure_topic
from streams.settings import Settings

START_MS = 1_750_000_000_000


def _run(*args: str) -> Result:
    return CliRunner().invoke(freshrec, ["train", *args])


def _rows(users: int = 220, events: int = 5) -> list[tuple[str, str, int]]:
    return [
        (f"u{u}", f"i{(u * 3 + n) % 17}", START_MS + u * 1_000_003 + n * n * 777_777)
        for u in range(users)
        for n in range(events)
    ]


def _write(path: Path, rows: list[tuple[str, str, int]]) -> str:
    lines = ["user_id,item_id,timestamp", *(f"{u},{i},{t}" for u, i, t in rows)]
    path.write_text("\n".join(lines))
    return str(path)


@pytest.fixture
def clicks(tmp_path: Path) -> str:
    return _write(tmp_path / "clicks.csv", _rows())


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Calls of the training, which itself does not run."""
    calls: list[dict[str, Any]] = []

    def record(data: Sequences, out: Path, **options: Any) -> dict[str, object]:
        calls.append({"data": data, "out": out, **options})
        logging.getLogger("exporter").info("a step")
        return {"trained": True}

    monkeypatch.setattr(model.train, "train", record)
    return calls


def test_a_log_in_order_passes_and_every_check_is_a_row(clicks: str) -> None:
    result = _run(clicks, "--check")
    assert result.exit_code == 0, result.output
    for name in ("duplicates", "ties", "future_times", "regular_users", "repeats", "split"):
        assert f"\n{name} " in result.stdout
    assert result.stderr == ""


def test_the_checks_are_one_json_object_on_request(clicks: str) -> None:
    result = _run(clicks, "--check", "--json")
    report = json.loads(result.stdout)
    assert (report["events"], report["users"], report["errors"]) == (1100, 220, [])
    by_name = {finding["name"]: finding for finding in report["findings"]}
    assert set(by_name["split"]) == {"name", "severity", "count", "share", "detail", "advice"}
    assert by_name["split"]["count"] == 220


def test_a_share_of_the_data_is_checked_alone(clicks: str) -> None:
    share = ["--split", "temporal", "--data-share", "0.25"]
    counts = []
    for more in ([], share):
        report = json.loads(_run(clicks, "--check", "--json", *more).stdout)
        by_name = {finding["name"]: finding for finding in report["findings"]}
        counts.append(by_name["event_types"]["detail"])
    assert counts[0].startswith("event types: click 1100;")
    assert not counts[1].startswith("event types: click 1100;")


def test_the_share_that_is_chosen_by_is_checked_as_it_will_be_held_out(clicks: str) -> None:
    held_out = ["--split", "temporal", "--test-fraction", "0.5", "--validation-fraction"]
    details = []
    for share in ("0.1", "0.25"):
        report = json.loads(_run(clicks, "--check", "--json", *held_out, share).stdout)
        details.append({found["name"]: found["count"] for found in report["findings"]}["split"])
    assert details[1] > 2 * details[0] > 0


def test_training_gets_what_is_to_be_chosen_by_and_from(
    tmp_path: Path, clicks: str, trained: list[dict[str, Any]]
) -> None:
    several = ("--predecessors", "5", "--predecessors", "20")
    for options in ((), ("--split", "temporal", "--validation-fraction", "0.25", *several)):
        assert _run(clicks, "--out", str(tmp_path / "m"), *options).exit_code == 0
    usual, asked = trained
    assert (usual["validation_fraction"], usual["predecessors"]) == (0.1, (5,))
    assert (asked["validation_fraction"], asked["predecessors"]) == (0.25, (5, 20))


def test_a_grave_fault_is_exit_code_1_and_is_named(tmp_path: Path) -> None:
    log = _write(tmp_path / "late.csv", [(u, i, t * 40) for u, i, t in _rows()])
    for more in ([], ["--json"]):
        result = _run(log, "--check", *more)
        assert result.exit_code == 1
        assert "not fit to train on: future_times" in result.stderr
    assert json.loads(result.stdout)["errors"] == ["future_times"]


def test_a_warning_is_exit_code_0_and_comes_with_advice(tmp_path: Path) -> None:
    log = _write(tmp_path / "doubled.csv", _rows() * 2)
    result = _run(log, "--check")
    assert result.exit_code == 0
    assert "\nduplicates: remove them" in result.stdout


def test_checking_imports_no_torch(clicks: str) -> None:
    code = (
        "import sys; from streams.cli import freshrec\n"
        f"freshrec.main(['train', {clicks!r}, '--check'], standalone_mode=False)\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_training_gets_the_log_that_was_read_and_warnings_go_to_standard_error(
    tmp_path: Path, trained: list[dict[str, Any]]
) -> None:
    log = _write(tmp_path / "doubled.csv", _rows() * 2)
    result = _run(log, "--out", str(tmp_path / "m"), "--json", "--min-item-events", "2")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"trained": True}
    assert "warning: duplicates: 1100 (50.0%)" in result.stderr
    assert "a step" not in result.stderr
    (call,) = trained
    assert call["data"].events == 2200
    assert call["data_name"] == "doubled.csv"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--check"], "Give DATA or --from-kafka"),
        (["x.csv", "--from-kafka", "--out", "m"], "Give DATA or --from-kafka"),
        (["x.csv"], "Missing option '--out'"),
    ],
)
def test_wrong_use_is_exit_code_2(args: list[str], words: str) -> None:
    result = _run(*args)
    assert result.exit_code == 2
    assert words in result.stderr


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        yield running


def test_clicks_on_kafka_train_without_those_of_erased_users(
    broker: EmbeddedBroker, trained: list[dict[str, Any]], tmp_path: Path
) -> None:
    settings = Settings(bootstrap=broker.bootstrap, broker_deadline_seconds=10.0)
    ensure_topic(settings, settings.clicks)
    sender = KafkaSender(settings, settings.clicks)
    now_ms = time.time_ns() // 1_000_000
    for user, item, time_ms in _rows(users=30):
        message = {"user_id": user, "item_id": item, "timestamp": now_ms - time_ms % 10**6}
        sender.send(user.encode(), json.dumps(message).encode())
    sender.send(b"u3", None)
    sender.send(b"u4", b"rubbish")
    sender.finish()
    kafka = ["--from-kafka", "--bootstrap", broker.bootstrap, "--log-level", "error"]
    checked = _run(*kafka, "--check", "--json")
    report = json.loads(checked.stdout)
    assert report["data"] == "clicks"
    assert (report["events"], report["users"]) == (145, 29)
    assert report["left_out"]["erased_clicks"] == 5
    result = _run(*kafka, "--out", str(tmp_path / "m"), "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["left_out"]["rejected_malformed_json"] == 1
    (call,) = trained
    assert call["data_name"] == "clicks"
    assert "u3" not in call["data"].users
    assert call["data"].events == 145
    assert call["data"].has_times


def test_kafka_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    config = tmp_path / "f.toml"
    config.write_text("broker_deadline_seconds = 0.3\n")
    result = _run("--from-kafka", "--check", "--bootstrap", "127.0.0.1:1", "--config", str(config))
    assert result.exit_code == 1
    assert "freshrec broker" in result.stderr


def test_augmentation_is_asked_for_by_name_and_probability(
    clicks: str, trained: list[dict[str, Any]], tmp_path: Path
) -> None:
    out = ["--out", str(tmp_path / "m"), "--json"]
    assert _run(clicks, *out, "--augment", "crop=0.3,mask=0.1").exit_code == 0
    (call,) = trained
    assert call["augmentation"][:3] == (0.3, 0.1, 0.0)


@pytest.mark.parametrize(
    ("text", "names"), [("time_gap, place", ["time_gap", "place"]), ("", []), (None, None)]
)
def test_features_are_named_between_commas_or_left_out(
    text: str | None,
    names: list[str] | None,
    clicks: str,
    trained: list[dict[str, Any]],
    tmp_path: Path,
) -> None:
    features = [] if text is None else ["--features", text]
    assert _run(clicks, "--out", str(tmp_path / "m"), *features).exit_code == 0
    (call,) = trained
    assert call["features"] == names


@pytest.mark.parametrize(
    ("wrong", "words"),
    [("rotate=1", "knows crop"), ("crop=much", "probability"), ("mask=2", "0 and 1")],
)
def test_augmentation_of_no_known_kind_is_one_sentence(
    wrong: str, words: str, clicks: str, trained: list[dict[str, Any]], tmp_path: Path
) -> None:
    done = _run(clicks, "--out", str(tmp_path / "m"), "--augment", wrong)
    assert done.exit_code == 1
    assert words in done.stderr
    assert not trained


def test_sizes_that_are_not_given_are_left_to_the_encoder_that_the_fit_begins_with(
    clicks: str, trained: list[dict[str, Any]], tmp_path: Path
) -> None:
    out = ["--out", str(tmp_path / "m")]
    more = ["--from", "checkpoint", "--adapter", "lora", "--fresh-items", "--data-share", "0.05"]
    assert _run(clicks, *out, *more, "--layers", "3").exit_code == 0
    (call,) = trained
    assert (call["source"], call["adapter"], call["fresh_items"]) == (
        Path("checkpoint"), "lora", True,
    )  # fmt: skip
    assert call["data_share"] == 0.05
    sizes = [call[name] for name in ("dim", "layers", "heads", "max_length")]
    assert sizes == [None, 3, None, None]


def test_a_checkpoint_that_is_not_there_is_one_sentence(clicks: str, tmp_path: Path) -> None:
    done = _run(clicks, "--out", str(tmp_path / "m"), "--from", str(tmp_path / "nothing"))
    assert done.exit_code == 1
    assert "nothing is not a checkpoint of `freshrec train --checkpoint`" in done.stderr
    assert not (tmp_path / "m").exists()
