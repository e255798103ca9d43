"""The documentation against the code: commands parse, names exist, generated parts are fresh."""

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from streams import cli, reference
from streams.event_types import DEFAULT_EVENT_TYPES
from streams.events import DegradedReason, RejectReason, ServedBy
from streams.metrics import Metrics
from streams.recommendation import ReasonCode
from streams.schemas import schemas
from streams.serving import Answers
from streams.setting_sources import load_settings
from streams.settings import ENVIRONMENT_PREFIX, FIELDS
from tests.documents import DOCUMENTS, ROOT, Block, blocks, commands, shell_lines

README = (ROOT / "README.md").read_text(encoding="utf-8")
MESSAGES = (ROOT / "docs/messages.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
HOW_IT_WORKS = (ROOT / "docs/how-it-works.md").read_text(encoding="utf-8")
INLINE = re.compile(r"`(freshrec [a-z][^`]*)`")
PLACEHOLDER = re.compile(r"\b[A-Z]{3,}\b")


def freshrec_calls(line: str) -> list[list[str]]:
    """The argument lists of every call of freshrec in a shell line."""
    words = shlex.split(line, comments=True)
    calls: list[list[str]] = []
    open_call = False
    for word in words:
        if word in ("|", "&&", "||", ";", "&"):
            open_call = False
        elif word == "freshrec":
            calls.append([])
            open_call = True
        elif open_call:
            calls[-1].append(word)
    return calls


def parse(arguments: list[str]) -> None:
    """What click says to these arguments, down to the command, without running it."""
    command: click.Command = cli.freshrec
    context = command.make_context("freshrec", list(arguments))
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command = found
        context = command.make_context(name, rest, parent=context)
    names = {field.name for field in FIELDS}
    load_settings({k: v for k, v in context.params.items() if k in names}, {})


CALLS = [
    pytest.param(call, id=f"{block.document.name}: {shlex.join(call)}")
    for block in commands()
    if block.language != "python"
    for line in shell_lines(block)
    for call in freshrec_calls(line)
]
INLINE_CALLS = [
    pytest.param(call, id=f"{path.name}: {shlex.join(call)}")
    for path in DOCUMENTS
    for words in INLINE.findall(path.read_text(encoding="utf-8"))
    if not PLACEHOLDER.search(words)
    for call in freshrec_calls(words)
    if len(call) > 1
]


@pytest.mark.parametrize("call", [*CALLS, *INLINE_CALLS])
def test_every_command_that_is_shown_exists_with_its_options(
    call: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for word in call:
        if word.endswith((".csv", ".jsonl", ".tsv")):
            Path(word).touch()
    parse(call)


@pytest.mark.parametrize(
    "call",
    [
        "graph shwo lamp",
        "worker --modle models/v1",
        "worker --list-size many",
        "broker --kind rabbit",
        "frobnicate",
    ],
)
def test_a_command_that_does_not_exist_would_be_noticed(call: str) -> None:
    with pytest.raises((click.UsageError, ValueError)):
        parse(call.split())


def test_there_are_commands_to_check() -> None:
    assert len(CALLS) > 10
    shown = {call.values[0][0] for call in CALLS}  # type: ignore[index]
    assert {"broker", "worker", "replay", "tail", "train", "graph", "erase"} <= shown


@pytest.mark.parametrize("block", commands(), ids=lambda block: block.name)
def test_every_block_of_commands_is_run_or_says_why_not(block: Block) -> None:
    assert block.verdict in ("run", "not run"), "put <!-- run: NAME --> or <!-- not run: WHY -->"
    if block.verdict == "not run":
        assert len(block.words.split()) >= 3


def test_every_block_that_says_run_is_run_by_the_walk_through_the_documents() -> None:
    marked = [block.words for block in commands() if block.verdict == "run"]
    walks = "".join(
        (ROOT / f"tests/integration/test_{name}.py").read_text(encoding="utf-8")
        for name in ("ways_in", "quick_start", "scenes")
    )
    assert sorted(marked) == sorted(set(marked))
    assert set(re.findall(r'\.(?:run|start)\("([^"]+)"', walks)) == set(marked)


def test_every_make_target_that_is_shown_exists() -> None:
    targets = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text()))
    shown = {name for path in DOCUMENTS for name in re.findall(r"make ([a-z]+)", path.read_text())}
    assert {"demo", "test", "install"} <= shown & targets
    in_code = {
        name
        for path in DOCUMENTS
        for name in re.findall(r"(?m)(?:`|^)make ([a-z]+)", path.read_text())
    }
    assert in_code <= targets


def test_the_readme_can_be_read_in_one_sitting() -> None:
    assert len(README.splitlines()) <= 250


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        linked = (path.parent / name).resolve() if name else path
        assert linked.exists(), target
        if anchor:
            heads = re.findall(r"(?m)^#+ (.+)$", linked.read_text(encoding="utf-8"))
            assert anchor in {
                re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in heads
            }


def test_every_file_that_is_named_exists() -> None:
    pattern = r"`?((?:streams|model|tests|deploy|docker|docs|examples)/[\w./-]*\w)`?"
    for path in DOCUMENTS:
        for name in re.findall(pattern, path.read_text(encoding="utf-8")):
            assert (ROOT / name).exists(), f"{name} in {path.name}"


def test_the_generated_parts_are_fresh() -> None:
    assert reference.stale(ROOT / "docs") == [], "run: python -m streams.reference docs"
    for part in ("settings", "event types", "metrics"):
        text = "".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
        assert f"<!-- generated: {part} -->\n|" in text


def test_a_changed_setting_makes_the_documents_stale(tmp_path: Path) -> None:
    text = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    document = tmp_path / "configuration.md"
    document.write_text(text.replace("newest events kept for a user", "oldest events"))
    assert reference.main(["--check", str(tmp_path)]) == 1
    assert reference.main([str(tmp_path)]) == 0
    assert document.read_text(encoding="utf-8") == text
    assert reference.main(["--check", str(tmp_path)]) == 0
    document.write_text("<!-- generated: nothing -->\n\n<!-- end of generated -->")
    with pytest.raises(reference.UnknownPartError, match="nothing"):
        reference.main([str(tmp_path)])


def test_the_reference_has_every_setting_and_every_metric() -> None:
    settings = reference.settings_table()
    for field in FIELDS:
        assert f"| `{field.name}` | " in settings
    families = {family.name for family in Metrics().registry.collect()}
    shown = set(re.findall(r"\| `(freshrec_\w+?)(?:_total)?` \|", reference.metrics_table()))
    assert shown == {name for name in families if name.startswith("freshrec_")}


def test_the_settings_of_the_readme_are_real_and_have_the_default_that_it_says() -> None:
    section = README.partition("## Settings")[2].partition("\n## ")[0]
    rows = re.findall(r"(?m)^\| `(\w+)` \| (\S+) \| (\S+) \|", section)
    assert len(rows) >= 10
    known = re.findall(r"(?m)^\| `(\w+)` \| (.+?) \| (.+?) \| ", reference.settings_table())
    assert set(rows) <= set(known)


def test_every_variable_that_is_named_is_a_setting() -> None:
    variables = {ENVIRONMENT_PREFIX + field.name.upper() for field in FIELDS}
    variables.add(ENVIRONMENT_PREFIX + "CONFIG")
    variables.add(ENVIRONMENT_PREFIX + "PURE_PYTHON")  # read by the kernels: no setting of a worker
    for path in DOCUMENTS:
        found = set(re.findall(r"FRESHREC_[A-Z_]*[A-Z]", path.read_text(encoding="utf-8")))
        assert found <= variables, path.name


def test_every_metric_that_is_named_exists() -> None:
    known = set()
    for family in Metrics().registry.collect():
        parts = ("", "_total", "_bucket", "_count", "_sum")
        known |= {f"{family.name}{part}" for part in parts}
    for path in DOCUMENTS:
        found = set(re.findall(r"freshrec_[a-z_]*[a-z]", path.read_text(encoding="utf-8")))
        assert found <= known, path.name


def test_the_settings_file_that_is_shown_is_accepted(tmp_path: Path) -> None:
    (block,) = [block for block in blocks() if block.language == "toml"]
    path = tmp_path / "freshrec.toml"
    path.write_text(block.code)
    settings = load_settings({}, {}, path)
    assert settings.list_size == 20
    types = settings.event_type_registry()
    assert types.weight("purchase") == 8.0
    assert types.is_positive("bookmark")


def section_fields(title: str) -> set[str]:
    """Fields in the first column of the tables of a section of messages.md."""
    section = MESSAGES.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"(?m)^\| (`[^|]+`) \|", section)
    return {name for cell in cells for name in re.findall(r"`([a-z_]+)`", cell)}


@pytest.mark.parametrize(
    ("title", "schema"),
    [("Click", "click.schema.json"), ("Item", "item.schema.json")],
)
def test_the_fields_of_a_message_are_those_of_its_schema(title: str, schema: str) -> None:
    documented = section_fields(title) - {reason.value for reason in RejectReason}
    assert documented == set(schemas()[schema]["properties"])


def test_the_fields_of_a_recommendation_are_those_of_its_schema() -> None:
    schema = schemas()["recommendation.schema.json"]
    top = set(schema["properties"])
    of_items = set(schema["$defs"]["RecommendedItem"]["properties"])
    section = MESSAGES.partition("\n## Recommendation\n")[2]
    assert section_fields("Recommendation") == top | of_items
    for part in ("Trigger", "ModelInfo", "Latency", "WindowInfo", "Reason"):
        for name in schema["$defs"][part]["properties"]:
            assert f"`{name}`" in section, f"{part}.{name}"


def test_every_reason_and_code_is_documented() -> None:
    for reason in RejectReason:
        assert f"| `{reason.value}` |" in MESSAGES
    for code in ReasonCode:
        assert f"`{code.value}`" in MESSAGES
    for value in [*ServedBy, *DegradedReason]:
        assert f"`{value.value}`" in MESSAGES
        assert f"`{value.value}`" in HOW_IT_WORKS
    for kind in DEFAULT_EVENT_TYPES:
        assert f"`{kind.name}`" in reference.event_types_table()


def test_the_messages_that_are_shown_are_messages() -> None:
    from streams.events import Click, Item, decode_click, decode_item

    click_text, item_text = [block.code for block in blocks() if block.language == "json"]
    now_ms = 1_769_860_800_123
    limits = load_settings({}, {}).click_limits()
    assert isinstance(decode_click(click_text.encode(), (), now_ms, limits), Click)
    assert isinstance(decode_item(item_text.encode(), None, limits), Item)
    for text, schema in ((click_text, "click"), (item_text, "item")):
        shown: dict[str, Any] = json.loads(text)
        assert set(shown) == set(schemas()[f"{schema}.schema.json"]["properties"])


def test_every_endpoint_is_documented() -> None:
    answers = Answers(Metrics(), None, _NoReader(), None)  # type: ignore[arg-type]
    paths = set(answers.paths) - {"/"}
    shown = {re.sub("[A-Z]+$", "", p) for p in re.findall(r"(?m)^\| `(/\S+)` \|", OPERATIONS)}
    assert shown == paths


class _NoReader:
    """The look-ups of a worker, never called."""

    item_json = ego_json = recommendations_json = evolution_json = trending_json = None
    graphml = status = None


def test_the_steps_of_the_guarantee_are_those_of_the_code() -> None:
    agents = (ROOT / "streams/agents.py").read_text(encoding="utf-8")
    docstring = agents.split('"""')[1]
    assert re.findall(r"\b([1-9])\. ", docstring) == re.findall(r"(?m)^([1-9])\. ", HOW_IT_WORKS)
    order = (
        "pipeline.fold(",
        "self._windows_changelog, number, changes",
        "_outbox.put(",
        "batcher.submit(",
        ".acknowledged()",
        "windows.acknowledge(",
        "delivery.finish()",
    )
    places = [agents.index(step) for step in order]
    assert places == sorted(places)


def test_the_text_names_no_machine() -> None:
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        assert str(Path.home()) + os.sep not in text
        assert not re.search(r"/(?:home|work|tmp)/", text)


def test_messages_in_the_readme_are_accepted_clicks() -> None:
    from streams.events import Click, decode_click

    limits = load_settings({}, {}).click_limits()
    lines = re.findall(r"(?m)^(\w+)\|(\{.*\})$", README)
    assert lines
    for key, value in lines:
        if '"timestamp"' not in value:
            continue
        text = value.replace("$now", "1769860800000")
        decoded = decode_click(text.encode(), (), 1_769_860_800_000, limits)
        assert isinstance(decoded, Click)
        assert decoded.user_id == key
        assert msgspec.json.decode(text)["user_id"] == key
