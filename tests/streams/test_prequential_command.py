import csv
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from model.artifact import DEMO_ARTIFACT, load_artifact
from model.datasets import read_data
from model.train import train
from streams.cli import freshrec
from streams.settings import Settings
from tests.documents import ROOT

KEPT = ("window_events", "window_seconds", "popularity_half_life_seconds")
START_SECONDS = 1_700_000_000
DAY_SECONDS = 86_400


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(freshrec, ["evaluate", *arguments])


@pytest.fixture(scope="module")
def log_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Users that come back to one of two films every day, for 90 days."""
    random = np.random.default_rng(0)
    films = load_artifact(DEMO_ARTIFACT).items[:12]
    path: Path = tmp_path_factory.mktemp("log") / "clicks.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id", "item_id", "timestamp"])
        for day in range(90):
            for user in range(4):
                film = films[3 * user + int(random.integers(2))]
                writer.writerow([f"u{user}", film, START_SECONDS + day * DAY_SECONDS + user])
    return path


def test_every_event_of_the_newest_half_is_judged(log_file: Path) -> None:
    result = _run(
        str(log_file), "--model", str(DEMO_ARTIFACT), "--protocol", "prequential",
        "--repeat-policy", "allow", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["protocol"] == "prequential"
    assert (report["users"], report["items"], report["examples"]) == (4, 8, 180)
    assert report["test_fraction"] == 0.5
    assert report["held_out"] is None  # the artefact was trained on other data
    assert report["repeat_policy"] == "allow"
    assert set(report["baselines"]) == {
        "popularity", "decayed_popularity", "last_transition", "own_history", "own_recency",
    }  # fmt: skip
    methods = [report[name] for name in ("encoder", "graph", "blend")]
    for method in (*methods, *report["baselines"].values()):
        assert set(method) == {"hit_rate", "ndcg", "mrr"}
        assert set(method["hit_rate"]) == {"5", "10", "20"}
    assert report["baselines"]["own_history"]["hit_rate"]["5"] == 1.0


def test_without_an_artefact_the_graph_is_judged_and_a_sample_can_be_taken(log_file: Path) -> None:
    result = _run(
        str(log_file), "--protocol", "prequential", "--max-examples", "30", "--test-fraction",
        "0.25", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["encoder"] is None
    assert report["model"] is None
    assert report["examples"] == 30
    assert report["blend"]["hit_rate"]["10"] > 0.9


def test_a_shorter_window_forgets_what_users_did(log_file: Path) -> None:
    arguments = (str(log_file), "--protocol", "prequential", "--json")
    hours = json.loads(_run(*arguments, "--window-seconds", "3600").stdout)
    one = json.loads(_run(*arguments, "--window-events", "1").stdout)
    assert hours["state"]["window_seconds"] == 3600
    assert one["state"]["window_events"] == 1
    for report in (hours, one):
        assert report["baselines"]["own_history"]["hit_rate"]["5"] < 0.9


def test_a_workers_settings_file_says_how_state_is_kept(log_file: Path, tmp_path: Path) -> None:
    config = tmp_path / "scene.toml"
    config.write_text(
        'window_events = 1\nrepeat_policy = "exclude"\n[event_types.click]\nweight = 2.0'
    )
    arguments = (str(log_file), "--protocol", "prequential", "--config", str(config), "--json")
    report = json.loads(_run(*arguments).stdout)
    assert report["state"]["window_events"] == 1
    assert report["repeat_policy"] == "exclude"
    assert report["blend"]["hit_rate"]["10"] < 0.9  # every item is one that the user had
    assert (
        json.loads(_run(*arguments, "--window-events", "7").stdout)["state"]["window_events"] == 7
    )
    allowed = json.loads(_run(*arguments, "--repeat-policy", "allow").stdout)
    assert (allowed["repeat_policy"], allowed["state"]["window_events"]) == ("allow", 1)
    misused = _run(str(log_file), "--config", str(config))
    assert misused.exit_code == 2
    assert "--config needs --protocol prequential, and no --model" in misused.stderr


def test_a_settings_file_is_judged_as_it_is_whatever_the_environment_says(
    log_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "scene.toml"
    config.write_text("window_events = 3")
    monkeypatch.setenv("FRESHREC_WINDOW_EVENTS", "1")
    result = _run(
        str(log_file), "--protocol", "prequential", "--config", str(config), "--json",
        "--max-examples", "5",
    )  # fmt: skip
    assert json.loads(result.stdout)["state"]["window_events"] == 3
    config.write_text("window_event = 3")
    result = _run(str(log_file), "--protocol", "prequential", "--config", str(config))
    assert result.exit_code == 2
    assert "unknown key 'window_event'" in result.stderr


@pytest.mark.parametrize("scene", ["shop", "social", "video", "travel"])
def test_the_settings_file_of_a_scene_can_be_judged(log_file: Path, scene: str) -> None:
    path = ROOT / f"deploy/settings/{scene}.toml"
    said = tomllib.loads(path.read_text(encoding="utf-8"))
    result = _run(
        str(log_file), "--protocol", "prequential", "--config", str(path), "--json",
        "--max-examples", "20",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["repeat_policy"] == said["repeat_policy"]
    wanted = {name: said.get(name, getattr(Settings(), name)) for name in KEPT}
    assert {name: report["state"][name] for name in KEPT} == wanted


def test_wrong_use_is_refused_in_a_sentence(log_file: Path, tmp_path: Path) -> None:
    result = _run(str(log_file), "--window-events", "5")
    assert result.exit_code == 2
    assert "--window-events and --window-seconds need --protocol prequential" in result.stderr
    result = _run(str(log_file), "--protocol", "prequential", "--noise", "0.1")
    assert result.exit_code == 2
    assert "--noise does not go with --protocol prequential" in result.stderr
    order_only = tmp_path / "sequences.tsv"
    order_only.write_text("a\tx y z\n")
    result = _run(str(order_only), "--protocol", "prequential")
    assert result.exit_code == 1
    assert "needs timestamps" in result.stderr
    strangers = tmp_path / "once.csv"
    strangers.write_text("user_id,item_id,timestamp\na,x,1700000000\nb,x,1700000001\n")
    result = _run(str(strangers), "--protocol", "prequential")
    assert result.exit_code == 1
    assert "nothing to predict" in result.stderr


@pytest.fixture(scope="module")
def older_and_newer(log_file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Artefacts trained on the oldest half and on the oldest three quarters of the log."""
    found = []
    for fraction in (0.5, 0.25):
        out = tmp_path_factory.mktemp("model")
        train(
            read_data(log_file), out, split="temporal", test_fraction=fraction, max_steps=30,
            dim=16, layers=1, max_length=8, features=(), refit=True, threads=1,
        )  # fmt: skip
        found.append(str(out))
    return found[0], found[1]


def test_a_newer_artefact_takes_over_where_its_training_ended(
    log_file: Path, older_and_newer: tuple[str, str]
) -> None:
    older, newer = older_and_newer

    def hits(fraction: str, *models: str) -> float:
        flags = [flag for model in models for flag in ("--model", model)]
        result = _run(
            str(log_file), *flags, "--protocol", "prequential", "--test-fraction", fraction,
            "--repeat-policy", "allow", "--json",
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr
        report = json.loads(result.stdout)
        assert report["held_out"] is True
        assert [found["test_fraction"] for found in report["successors"]] == [0.25][
            : len(models) - 1
        ]
        rate: float = report["encoder"]["mrr"]["10"]
        return rate * report["examples"]

    alone = hits("0.5", older)
    before = alone - hits("0.25", older)
    together = hits("0.5", older, newer)
    assert together == pytest.approx(before + hits("0.25", newer))
    assert together != pytest.approx(alone)


def test_an_artefact_that_may_have_seen_the_events_cannot_take_over(
    log_file: Path, older_and_newer: tuple[str, str]
) -> None:
    older, newer = older_and_newer
    flags = ("--protocol", "prequential", "--test-fraction")
    result = _run(str(log_file), "--model", older, "--model", str(DEMO_ARTIFACT), *flags, "0.5")
    assert result.exit_code == 1
    assert "train it on this data with --split temporal" in result.stderr
    result = _run(str(log_file), "--model", newer, "--model", older, *flags, "0.25")
    assert result.exit_code == 1
    assert "holds out the newest 0.5" in result.stderr
    result = _run(str(log_file), "--model", older, "--model", newer)
    assert result.exit_code == 2
    assert "Several --model need --protocol prequential" in result.stderr
