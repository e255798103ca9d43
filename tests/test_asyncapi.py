"""The AsyncAPI document against AsyncAPI's own parser, and against the code, both ways."""

import base64
import hashlib
import json
import re
import subprocess
import tarfile
import tempfile
import tomllib
from pathlib import Path
from typing import Any, cast, get_args, get_type_hints

import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator

from streams import schemas
from streams.access import rights
from streams.broker_jars import cache_dir
from streams.dead_letters import DeadLetters
from streams.effects import DeadLetter
from streams.events import (
    Click,
    Item,
    RejectReason,
    decode_click,
    decode_item,
    decode_recommendation,
)
from streams.list_headers import LIST_TYPE, ListHeaders
from streams.receipt import decode_receipt
from streams.reject import Reject
from streams.settings import FIELDS, Settings
from streams.topics import TopicPlan, plan
from streams.trace_context import trace_of
from tests.conftest import npm, program
from tests.streams.shell_fakes import FakePublisher, make_partition

ROOT = Path(__file__).parents[1]
PATH = ROOT / "deploy/asyncapi.yaml"
DOCUMENT: dict[str, Any] = yaml.safe_load(PATH.read_text(encoding="utf-8"))
CHANNELS: dict[str, Any] = DOCUMENT["channels"]
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]
SETTINGS = Settings()
LIMITS = SETTINGS.click_limits()
NOW_MS = 1_769_860_800_000
TRACE = {
    "traceparent": b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "tracestate": b"vendor=1",
}
CLOUD_EVENTS = (
    "specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema",
)  # fmt: skip
KEYS = {"userId": "user id", "itemId": "item id", None: "as it came"}


def resolved(node: Any) -> Any:
    """A node of the document with its inner references in place."""
    while isinstance(node, dict) and str(node.get("$ref", "")).startswith("#/"):
        target: Any = DOCUMENT
        for name in node["$ref"][2:].split("/"):
            target = target[name]
        node = target
    if isinstance(node, dict):
        return {name: resolved(value) for name, value in node.items()}
    return [resolved(value) for value in node] if isinstance(node, list) else node


def headers_of(message: str) -> set[str]:
    return set(MESSAGES[message]["headers"]["properties"])


def public(topic: TopicPlan) -> bool:
    inner = SETTINGS.rekeyed_topic.removesuffix("rekeyed")
    return not topic.name.startswith(inner) or topic.name == SETTINGS.receipts_topic


TOPICS = {topic.name: topic for topic in plan(SETTINGS) if public(topic)}


@pytest.fixture(scope="session")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """AsyncAPI's parser in one file: the version of the lock, fetched by npm once and checked."""
    lock = json.loads((ROOT / "tests/asyncapi/parser.lock.json").read_text())
    directory = tmp_path_factory.mktemp("asyncapi")
    kept = cache_dir() / f"asyncapi-parser-{lock['version']}.tgz"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        # Beside the cache, so that the step into it is one: what is there is whole.
        with tempfile.TemporaryDirectory(dir=kept.parent) as fetching:
            name = npm("pack", f"{lock['package']}@{lock['version']}", directory=Path(fetching))
            Path(fetching, name.strip()).replace(kept)
    found = base64.b64encode(hashlib.sha512(kept.read_bytes()).digest()).decode()
    assert f"sha512-{found}" == lock["integrity"], f"{kept} is not what the lock names: remove it"
    with tarfile.open(kept) as archive:
        archive.extractall(directory, filter="data")
    return directory / "package/browser/index.js"


def test_the_parser_of_asyncapi_finds_nothing_and_would_find_something(
    parser: Path, tmp_path: Path
) -> None:
    text = PATH.read_text(encoding="utf-8").replace("./schemas/", f"{PATH.parent}/schemas/")
    bad = tmp_path / "asyncapi.yaml"
    bad.write_text(
        text.replace("type: scramSha512", "type: scram").replace("click.schema", "clack.schema")
    )
    command = [program("node", "nodejs"), str(ROOT / "tests/asyncapi/check.js"), str(parser)]
    said = subprocess.run([*command, str(PATH), str(bad)], capture_output=True, check=False)
    assert said.returncode == 0, said.stderr
    good, faults = (
        # It wishes for the newest version of AsyncAPI, too.
        [each for each in found if each["code"] != "asyncapi-latest-version"]
        for found in json.loads(said.stdout)
    )
    assert good == []
    assert {"asyncapi-document-resolved", "invalid-ref"} <= {each["code"] for each in faults}


def test_every_topic_that_others_see_has_a_channel_and_no_other_has() -> None:
    assert {channel["address"] for channel in CHANNELS.values()} == set(TOPICS)


@pytest.mark.parametrize("channel", CHANNELS.values(), ids=list(CHANNELS))
def test_a_topic_is_bound_as_a_worker_would_create_it(channel: dict[str, Any]) -> None:
    topic = TOPICS[channel["address"]]
    binding = channel["bindings"]["kafka"]
    assert binding["topic"] == topic.name
    assert binding.get("partitions") == (SETTINGS.partitions if topic.copartitioned else None)
    config = {name: str(value) for name, value in binding.get("topicConfiguration", {}).items()}
    if policies := binding.get("topicConfiguration", {}).get("cleanup.policy"):
        config["cleanup.policy"] = ",".join(policies)
    assert config == topic.config


@pytest.mark.parametrize("channel", CHANNELS.values(), ids=list(CHANNELS))
def test_a_message_is_keyed_as_its_topic_is(channel: dict[str, Any]) -> None:
    for reference in channel["messages"].values():
        name = reference["$ref"].rpartition("/")[2]
        key = MESSAGES[name]["bindings"]["kafka"]["key"]
        schema = key["$ref"].rpartition("/")[2] if "$ref" in key else None
        assert KEYS[schema] == TOPICS[channel["address"]].key


def test_every_message_and_channel_is_used() -> None:
    text = PATH.read_text(encoding="utf-8")
    for name in MESSAGES:
        assert len(re.findall(rf"'#/components/messages/{name}'", text)) == 1
    used = {
        each["$ref"].removeprefix("#/channels/")
        for operation in DOCUMENT["operations"].values()
        for each in operation["messages"]
    }
    assert used == {
        f"{channel}/messages/{name}"
        for channel, content in CHANNELS.items()
        for name in content["messages"]
    }


def test_what_a_worker_takes_and_sends_is_what_it_has_rights_for() -> None:
    for operation in DOCUMENT["operations"].values():
        topic = resolved(operation["channel"])["address"]
        (right,) = [right for right in rights("worker", SETTINGS) if right.name == topic]
        needed = {"receive": "read", "send": "write"}[operation["action"]]
        assert needed in right.operations
        group = operation.get("bindings", {}).get("kafka", {}).get("groupId")
        # Of what it takes, by the group; items and all that it sends know none.
        of_the_group = operation["action"] == "receive" and topic == SETTINGS.clicks
        assert (group is not None) == of_the_group
        assert group is None or group["default"] == SETTINGS.group


def test_every_generated_schema_is_the_payload_of_one_message() -> None:
    payloads = [
        message["payload"]["$ref"].removeprefix("./schemas/")
        for message in MESSAGES.values()
        if "$ref" in message["payload"]
    ]
    assert sorted(payloads) == sorted(schemas.schemas())


def test_the_headers_of_a_click_are_those_that_are_read() -> None:
    value = b'{"user_id": "ann", "item_id": "lamp"}'
    contents = {"ce_time": b"2026-01-31T12:00:00Z", "ce_type": b"shop.view"}
    when = [("ce_time", contents["ce_time"])]

    def click(headers: list[tuple[str, bytes]]) -> Click | Reject:
        return decode_click(value, headers, NOW_MS, LIMITS)

    effective = set()
    for name in [f"ce_{attribute}" for attribute in CLOUD_EVENTS]:
        one = [(name, contents.get(name, b"x"))]
        if click(one) != click([]) or click([*one, *when]) != click(when):
            effective.add(name)
    traced = {name for name, _ in trace_of(list(TRACE.items()))}
    assert headers_of("click") == effective | traced


def test_the_headers_of_a_list_are_those_that_are_sent() -> None:
    made = ListHeaders(SETTINGS.group).of(
        "rec-1", "2026-01-31T12:00:00Z", trace_of([*TRACE.items()])
    )
    headers = resolved(MESSAGES["recommendation"]["headers"])
    assert set(headers["properties"]) == {name for name, _ in made}
    assert set(headers["required"]) == {name for name, _ in made} - set(TRACE)
    accept(headers, {name: content.decode() for name, content in made})
    assert headers["properties"]["ce_type"]["const"] == LIST_TYPE


async def test_the_headers_of_a_dead_letter_are_those_that_are_sent() -> None:
    async def large() -> int:
        return 1_000

    publisher = FakePublisher(generous=True)
    partition = make_partition(SETTINGS)
    partition._dead_letters = {}
    letters = DeadLetters(SETTINGS, cast("Any", publisher), 1_000, large)
    reject = Reject(RejectReason.MISSING_FIELD, "item_id is required")
    sent = [DeadLetter(n, b"ann", b"x" * size, (), reject) for n, size in enumerate((1, 2_000))]
    await letters.send(partition, SETTINGS.clicks, sent)
    small, omitted = publisher.headers[SETTINGS.dead_letter_topic]
    headers = MESSAGES["deadLetter"]["headers"]
    assert set(headers["required"]) == set(small)
    assert set(headers["properties"]) == set(omitted)
    for each in (small, omitted):
        accept(headers, {name: content.decode() for name, content in each.items()})
    assert headers["properties"]["reason"]["enum"] == [reason.value for reason in RejectReason]


@pytest.mark.parametrize(
    ("title", "message"),
    [("Of a click", "click"), ("Of a dead letter", "deadLetter"), ("Of a list", "recommendation")],
)
def test_the_headers_of_a_message_are_in_the_documents(title: str, message: str) -> None:
    text = (ROOT / "docs/messages.md").read_text(encoding="utf-8")
    section = re.split(r"\n##+ ", text.partition(f"\n### {title}\n")[2])[0]
    cells = re.findall(r"(?m)^\| (`[^|]+`) \|", section)
    assert {name for cell in cells for name in re.findall(r"`([\w-]+)`", cell)} == headers_of(
        message
    )


def test_every_message_has_examples_that_are_what_it_says() -> None:
    by_file = schemas.schemas()
    for name, message in MESSAGES.items():
        assert message["examples"], name
        for example in message["examples"]:
            if "headers" in example:
                accept(resolved(message["headers"]), example["headers"])
            reference = message["payload"].get("$ref")
            if reference is None:
                accept(message["payload"], example["payload"])
            else:
                accept(by_file[reference.removeprefix("./schemas/")], example["payload"])


def test_the_examples_are_read_by_the_code_as_messages() -> None:
    clicks = {}
    for example in MESSAGES["click"]["examples"]:
        headers = [(name, text.encode()) for name, text in example.get("headers", {}).items()]
        value = msgspec.json.encode(example["payload"])
        clicks[example["name"]] = decode_click(value, headers, NOW_MS, LIMITS)
    assert all(isinstance(click, Click) for click in clicks.values()), clicks
    event = clicks["cloudEvent"]
    assert isinstance(event, Click)
    assert (event.event_id, event.event_type) == ("01J3", "view")
    (item,) = MESSAGES["item"]["examples"]
    assert isinstance(decode_item(msgspec.json.encode(item["payload"]), None, LIMITS), Item)
    (made,) = MESSAGES["recommendation"]["examples"]
    found = decode_recommendation(msgspec.json.encode(made["payload"]))
    assert (found.recommendation_id, found.generated_at) == (
        made["headers"]["ce_id"], made["headers"]["ce_time"],
    )  # fmt: skip
    (receipt,) = MESSAGES["receipt"]["examples"]
    decode_receipt(msgspec.json.encode(receipt["payload"]))
    (letter,) = MESSAGES["deadLetter"]["examples"]
    fault = decode_click(letter["payload"].encode(), (), NOW_MS, LIMITS)
    assert isinstance(fault, Reject)
    assert (fault.reason, fault.detail) == (
        letter["headers"]["reason"], letter["headers"]["detail"],
    )  # fmt: skip


def test_the_ways_to_log_in_are_those_of_the_settings() -> None:
    schemes = DOCUMENT["components"]["securitySchemes"]
    mechanisms = get_args(get_type_hints(Settings)["sasl_mechanism"])
    assert set(schemes) == {*mechanisms, "clientCertificate"}
    used = [each["$ref"] for each in DOCUMENT["servers"]["production"]["security"]]
    assert {reference.rpartition("/")[2] for reference in used} == set(schemes)
    named = set(re.findall(r"\b(?:ssl|sasl)_[a-z_]+", json.dumps(DOCUMENT["components"])))
    assert named - {"sasl_ssl"} <= {field.name for field in FIELDS}


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert DOCUMENT["info"]["version"] == project["version"]


def accept(schema: dict[str, Any], value: Any) -> None:
    Draft202012Validator(schema).validate(value)
