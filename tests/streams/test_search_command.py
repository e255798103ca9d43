"""`freshrec train --search`: from options to trials, an artefact, and the command to paste."""

import csv
import json
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from streams.cli import freshrec
from streams.cli.search import command_with, given_settings
from tests.model.planted import planted_events

pytest.importorskip("optuna")


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "my clicks.csv", "--search", "20", "--out", "m", "--resume", "d"],
        ["train", "my clicks.csv", "--search=20", "--out", "m", "--resume=d"],
    ],
)
def test_the_command_to_paste_has_the_settings_and_no_search(arguments: list[str]) -> None:
    command = command_with(arguments, {"--dim": "96", "--features": ""})
    assert shlex.split(command) == [
        "freshrec", "train", "my clicks.csv", "--out", "m", "--dim", "96", "--features", "",
    ]  # fmt: skip


def test_what_the_command_line_sets_is_told_from_defaults() -> None:
    given: list[frozenset[str]] = []

    @click.command()
    @click.option("--augment")
    @click.option("--dim", type=int)
    @click.option("--dropout", default=0.2)
    def command(**_: Any) -> None:
        given.append(given_settings(click.get_current_context()))

    CliRunner().invoke(command, ["--augment", "crop=0.1", "--dropout", "0.2"])
    assert given == [{"augmentation", "dropout"}]


@pytest.mark.slow
def test_a_search_ends_in_the_artefact_of_its_best_trial(tmp_path: Path) -> None:
    load_artifact = pytest.importorskip("model.artifact").load_artifact
    log = tmp_path / "clicks.csv"
    with log.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id", "item_id", "timestamp"])
        writer.writerows(event[:3] for event in planted_events(40, 10))
    out, kept = tmp_path / "m", tmp_path / "kept"
    arguments = [
        "train", str(log), "--search", "2", "--max-minutes", "0.03", "--out", str(out), "--json",
        "--resume", str(kept), "--dim", "16", "--layers", "1", "--objective", "next",
        "--max-length", "10", "--threads", "1",
    ]  # fmt: skip
    result = CliRunner().invoke(freshrec, arguments)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    found = report["search"]
    assert [trial["trial"] for trial in found["trials"]] == [0, 1]
    assert found["ndcg_at_10"] == max(trial["ndcg_at_10"] for trial in found["trials"])
    assert set(found["best"]) == {
        "learning_rate", "dropout", "batch_size", "features", "crop", "mask", "reorder",
    }  # fmt: skip
    # What is served are the weights of that trial: the fit went on where it ended.
    best = max(point["ndcg_at_10"] for point in report["curve"])
    assert best >= found["ndcg_at_10"] - 1e-5
    manifest = load_artifact(out).manifest
    assert manifest.features == found["best"]["features"]
    assert manifest.training["command"] == found["command"]
    assert "--search" not in found["command"]
    assert f"--learning-rate {found['best']['learning_rate']}" in found["command"]
    assert (kept / "search.journal").exists()
