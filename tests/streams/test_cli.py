"""The command line: quick help, exit codes, one JSON object, words that help."""

import inspect
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from model.engine import cuda_devices
from streams import app
from streams.broker import EmbeddedBroker
from streams.cli import freshrec
from streams.cli.options import KAFKA
from streams.health import Health
from streams.metrics import Metrics
from streams.serving import Server
from streams.settings import FIELDS, Settings

COMMANDS = list(freshrec.list_commands(None))  # type: ignore[arg-type]


def _run(*args: str, env: Mapping[str, str] | None = None) -> Result:
    return CliRunner().invoke(freshrec, list(args), env=dict(env or {}))


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from streams.cli import freshrec\n"
        "freshrec.main(['--help'], standalone_mode=False)\n"
        "heavy = {'faust', 'aiokafka', 'torch', 'numpy', 'msgspec', 'confluent_kafka', 'rich'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert time.perf_counter() - start < 3  # of a busy machine; 0.1 s on an idle one
    assert all(name in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_imports_no_framework_for_it(name: str) -> None:
    code = (
        "import sys; from streams.cli import freshrec\n"
        f"freshrec.main([{name!r}, '--help'], standalone_mode=False)\n"
        "heavy = {'faust', 'aiokafka', 'torch', 'transformers', 'onnxruntime'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"freshrec {name}" in done.stdout or "Usage:" in done.stdout


def test_worker_has_a_flag_for_every_setting_but_secrets_and_tables() -> None:
    shown = _run("worker", "--help").stdout
    for field in FIELDS:
        if field.flag is not None:
            assert field.flag in shown, field.name
        assert f"--{field.name.replace('_', '-')} " not in shown or not field.secret
    assert "FRESHREC_SASL_PASSWORD" in shown


def test_worker_hands_over_flags_environment_and_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Settings] = []
    monkeypatch.setattr(app, "run_worker", lambda settings: given.append(settings) or 3)
    config = tmp_path / "f.toml"
    config.write_text("list_size = 7\n")
    result = _run(
        "worker", "--config", str(config), "--no-encoder", "--model", "m", "--metrics-port", "0",
        env={"FRESHREC_GROUP": "g2"},
    )  # fmt: skip
    assert result.exit_code == 3
    (settings,) = given
    assert (settings.list_size, settings.encoder, settings.group) == (7, False, "g2")
    assert (settings.model_dir, settings.metrics_port) == (Path("m"), 0)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["worker", "--engine", "gpu"], "auto, cpu or cuda"),
        (["worker", "--list-size", "many"], "whole number"),
        (["worker", "--config", "/nowhere.toml"], "Cannot read the settings file"),
        (["nonsense"], "No such command"),
        (["replay", "/nowhere.csv"], "does not exist"),
        (["replay", __file__, "--speed", "1", "--rate", "1"], "not both"),
        (["replay", __file__, "--map", "user_id"], "not of the form"),
        (["erase", ""], "USER is empty"),
        (["simulate", "--items", "1", "--topics", "2"], "simulation needs"),
        (["graph", "show", "x", "--worker", "localhost"], "is a URL"),
    ],
)
def test_wrong_use_is_exit_code_2_with_what_is_allowed(args: list[str], words: str) -> None:
    result = _run(*args)
    assert result.exit_code == 2, result.output
    assert words in " ".join(result.stderr.split())
    assert result.stdout == ""


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        yield running


@pytest.mark.parametrize(
    "args",
    [
        ["tail", "--max", "1", "--broker-deadline-seconds", "0.3"],
        ["erase", "u", "--timeout", "0.3", "--broker-deadline-seconds", "0.3"],
        ["simulate", "--clicks", "1", "--broker-deadline-seconds", "0.3"],
    ],
)
def test_no_broker_is_exit_code_1_with_advice(args: list[str]) -> None:
    result = _run(*args, "--bootstrap", "127.0.0.1:1")
    assert result.exit_code == 1
    assert "freshrec broker" in " ".join(result.stderr.split())
    assert "Traceback" not in result.output


def test_replay_prints_exactly_one_json_object(broker: EmbeddedBroker, tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("userId,movieId,rating,timestamp\n1,31,2.5,1260759144\n1,32,,oops\n")
    result = _run(
        "replay", str(path), "--preset", "movielens", "--bootstrap", broker.bootstrap, "--json"
    )
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    assert (report["clicks"], report["skipped"]) == (1, {"bad_timestamp": 1})
    assert report["shifted_weeks"] > 800


def test_simulate_publishes_as_many_clicks_as_asked(broker: EmbeddedBroker) -> None:
    result = _run(
        "simulate", "--clicks", "300", "--rate", "3000", "--bootstrap", broker.bootstrap,
        "--topic-prefix", "sim.", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["clicks"] == 300


def test_tail_fails_when_fewer_lists_came_than_asked(broker: EmbeddedBroker) -> None:
    _run("replay", __file__, "--bootstrap", broker.bootstrap)
    from streams.sender import ensure_topic

    ensure_topic(Settings(bootstrap=broker.bootstrap), "recommendations")
    quiet = ("tail", "--timeout", "0.3", "--bootstrap", broker.bootstrap)
    assert _run(*quiet).exit_code == 0
    result = _run(*quiet, "--max", "1")
    assert result.exit_code == 1
    assert "0 of 1 lists" in result.stderr


class Reader:
    """A worker that knows one item."""

    def item_json(self, item_id: str) -> Mapping[str, Any] | None:
        neighbours = [{"item_id": "b", "weight": 0.25}, {"item_id": "c", "weight": 1e-9}]
        return {"item_id": "a/ä", "neighbours": neighbours} if item_id == "a/ä" else None

    def ego_json(self, user_id: str) -> Mapping[str, Any] | None:
        return None

    def recommendations_json(self, user_id: str) -> Mapping[str, Any] | None:
        return None

    def evolution_json(self, user_id: str, gap_seconds: int) -> Mapping[str, Any] | None:
        return None

    def trending_json(self, limit: int) -> Mapping[str, Any]:
        return {}

    def graphml(self) -> bytes:
        return b"<graphml/>"

    def status(self) -> Mapping[str, Any]:
        return {}


@pytest.fixture
def worker_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = Server(
        "127.0.0.1", 0, metrics=Metrics(), health=Health(), reader=Reader(), lookup_token="t0ken"
    )
    server.start()
    monkeypatch.setenv("FRESHREC_LOOKUP_TOKEN", "t0ken")
    yield server.url
    server.stop()


def test_graph_commands_ask_a_running_worker(worker_url: str, tmp_path: Path) -> None:
    shown = _run("graph", "show", "a/ä", "--worker", worker_url, "--json")
    assert json.loads(shown.stdout)["item_id"] == "a/ä"
    people = _run("graph", "show", "a/ä", "--worker", worker_url).stdout.splitlines()
    assert people[2].split() == ["item_id", "weight"]
    assert people[3].split() == ["b", "0.25"]
    unknown = _run("graph", "ego", "nobody", "--worker", worker_url)
    assert unknown.exit_code == 1
    assert "knows nothing of 'nobody'" in unknown.stderr
    assert _run("graph", "export", "--worker", worker_url).stdout_bytes == b"<graphml/>"
    out = tmp_path / "g.graphml"
    assert _run("graph", "export", "--worker", worker_url, "--out", str(out)).exit_code == 0
    assert out.read_bytes() == b"<graphml/>"


def test_graph_commands_take_the_token_from_a_file_and_say_when_it_is_missing(
    worker_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FRESHREC_LOOKUP_TOKEN")
    without = _run("graph", "show", "a/ä", "--worker", worker_url)
    assert without.exit_code == 1
    assert "FRESHREC_LOOKUP_TOKEN" in without.stderr
    token = tmp_path / "token"
    token.write_text("t0ken\n")
    monkeypatch.setenv("FRESHREC_LOOKUP_TOKEN_FILE", str(token))
    assert _run("graph", "show", "a/ä", "--worker", worker_url).exit_code == 0
    token.unlink()
    assert _run("graph", "show", "a/ä", "--worker", worker_url).exit_code == 2


def test_a_worker_that_is_not_there_is_exit_code_1_with_advice() -> None:
    result = _run("graph", "show", "x", "--worker", "http://127.0.0.1:1")
    assert result.exit_code == 1
    assert "freshrec worker" in result.stderr


def test_a_missing_training_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.partition(".")[0] == "torch" or n == "model.train"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    result = _run("train", "log.csv", "--out", "m")
    assert result.exit_code == 1
    assert "pip install 'freshrec[train]'" in result.stderr


@pytest.mark.parametrize(
    ("option", "package", "extra"),
    [("--tensorboard", "tensorboard", "tensorboard"), ("--search", "optuna", "search")],
)
def test_a_missing_package_of_an_option_says_which_extra_has_it(
    option: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("model.train", exc_type=ImportError)
    monkeypatch.setitem(sys.modules, package, None)
    result = _run("train", "no-such.csv", "--out", "m", option, "3")
    assert result.exit_code == 1
    assert result.stderr == f"Error: This needs {package}: pip install 'freshrec[{extra}]'.\n"


@pytest.mark.parametrize("name", ["train", "evaluate", "export"])
def test_every_option_of_a_model_command_is_an_argument_of_its_function(name: str) -> None:
    home = "compress" if name == "export" else name
    module = pytest.importorskip(f"model.{home}", exc_type=ImportError)
    command = freshrec.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    taken = set(inspect.signature(getattr(module, name)).parameters)
    if name == "train":
        taken |= set(module.PlanOptions.__annotations__)
    renamed = {
        "augment": "augmentation",
        "checkpoint": "checkpoint",
        "offered_predecessors": "predecessors",
    }
    if name == "export":
        renamed["checkpoint"] = "checkpoint_dir"
    # What a command acts on itself; each of these has a test of its own.
    reading = {"pairs", "time_unit", "min_item_events"}
    kept = reading | {
        "train": {"check", "from_kafka", "trials", "config", *KAFKA, "window_seconds"},
        "evaluate": {
            "models",
            "shares",
            "noise_kind",
            "window_events",
            "window_seconds",
            "config",
        },
    }.get(name, set())
    for parameter in command.params:
        if parameter.name not in {"as_json", *kept}:
            assert renamed.get(str(parameter.name), parameter.name) in taken, parameter.name


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["--items", "titles.csv"], "--items needs --protocol cold-items."),
        (["--protocol", "temporal", "--items", "t.csv"], "--items needs --protocol cold-items."),
        (["--protocol", "cold-items", "--items", "t.csv", "--repeat-policy", "allow"],
         "--repeat-policy does not go with --protocol cold-items."),
        (["--noise-kind", "bots"], "--noise-kind needs --noise"),
        (["--protocol", "prequential", "--noise-kind", "clicks"], "--noise-kind needs --noise"),
        (["--protocol", "prequential", "--resamples", "500"],
         "--resamples does not go with --protocol prequential"),
        (["--protocol", "cold-items", "--items", "t.csv", "--resamples", "1000"],
         "--resamples does not go with --protocol cold-items"),
        (["--noise", "0.1", "--resamples", "1000"], "--resamples does not go with --noise"),
    ],
)  # fmt: skip
def test_an_option_that_the_protocol_does_not_read_is_refused(
    options: list[str], fault: str
) -> None:
    result = _run("evaluate", "log.csv", "--model", "m", *options)
    assert result.exit_code == 2
    assert fault in result.stderr


def test_schemas_are_printed_written_and_checked(tmp_path: Path) -> None:
    assert set(json.loads(_run("schemas").stdout)) == {
        "click.schema.json", "item.schema.json", "openapi.json", "receipt.schema.json",
        "recommendation.schema.json",
    }  # fmt: skip
    directory = str(tmp_path)
    stale = _run("schemas", "--check", directory)
    assert stale.exit_code == 1
    assert "freshrec schemas --write" in " ".join(stale.stderr.split())
    assert _run("schemas", "--write", directory).exit_code == 0
    assert _run("schemas", "--check", directory).exit_code == 0


def test_check_reports_faults_with_exit_code_1(tmp_path: Path) -> None:
    result = _run("check", "--bootstrap", "127.0.0.1:1", "--state", str(tmp_path), "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 1
    assert report["ok"] is False
    assert {f["check"] for f in report["findings"]} >= {"brokers", "state", "onnxruntime", "model"}


@pytest.mark.skipif(cuda_devices() > 0, reason="this machine has a GPU")
def test_check_of_a_gpu_fails_where_there_is_none_and_looks_at_no_broker() -> None:
    result = _run("check", "--gpu", "--bootstrap", "127.0.0.1:1", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert not report["ok"]
    assert {f["check"].partition(" ")[0] for f in report["findings"]} == {"gpu"}
