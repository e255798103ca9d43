"""The committed JSON Schemas say what the code does."""

from pathlib import Path

import msgspec

from streams import schemas
from streams.click_message import ClickMessage, encode_click
from streams.events import Click, ClickLimits, Item, decode_click, decode_item

ROOT = Path(__file__).resolve().parents[2]
NOW_MS = 1_769_860_800_000
LIMITS = ClickLimits(max_age_ms=1000, event_types=frozenset({"click"}))


def test_the_committed_schemas_are_fresh() -> None:
    assert schemas.stale(ROOT / schemas.DIRECTORY) == []


def test_a_changed_or_missing_file_is_stale_until_it_is_written(tmp_path: Path) -> None:
    assert len(schemas.stale(tmp_path)) == 5
    assert len(schemas.write(tmp_path)) == 5
    assert schemas.stale(tmp_path) == []
    assert schemas.write(tmp_path) == []
    (tmp_path / "click.schema.json").write_text("{}")
    assert schemas.stale(tmp_path) == [tmp_path / "click.schema.json"]


def test_every_reference_of_a_schema_resolves_inside_it() -> None:
    def references(node: object) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if "$ref" in node else []
            return own + [r for value in node.values() for r in references(value)]
        return [r for value in node for r in references(value)] if isinstance(node, list) else []

    for name, schema in schemas.schemas().items():
        assert schema["type"] == "object", name
        for reference in references(schema):
            assert reference.removeprefix("#/$defs/") in schema["$defs"], (name, reference)


def test_the_click_schema_asks_for_what_the_decoder_asks_for() -> None:
    schema = schemas.schemas()["click.schema.json"]
    assert schema["required"] == ["item_id", "timestamp"]
    assert schema["anyOf"] == [{"required": ["user_id"]}, {"required": ["session_id"]}]
    for given in ({"user_id": "u"}, {"session_id": "s"}):
        value = encode_click(ClickMessage(item_id="i", timestamp=NOW_MS, **given))
        assert isinstance(decode_click(value, [], NOW_MS, LIMITS), Click)
    alone = encode_click(ClickMessage(item_id="i", timestamp=NOW_MS))
    assert not isinstance(decode_click(alone, [], NOW_MS, LIMITS), Click)


def test_the_item_schema_names_what_the_decoder_reads() -> None:
    message = schemas.ItemMessage(
        item_id="i", title="T", categories=["c"], available=False, price=2.5, timestamp=NOW_MS
    )
    item = decode_item(msgspec.json.encode(message), b"i", LIMITS)
    assert isinstance(item, Item)
    assert (item.item_id, item.title, item.categories) == ("i", "T", ["c"])
    assert (item.available, item.price, item.timestamp_ms) == (False, 2.5, NOW_MS)


def test_a_message_says_nothing_that_is_a_default() -> None:
    value = encode_click(ClickMessage(item_id="i", timestamp=1, user_id="u"))
    assert msgspec.json.decode(value) == {"item_id": "i", "timestamp": 1, "user_id": "u"}
