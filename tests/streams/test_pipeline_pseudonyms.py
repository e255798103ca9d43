"""Pipelines under a pseudonym key: no user id is in an effect or a state."""

import msgspec

from streams.events import RejectReason
from streams.pipeline import ClickPipeline
from streams.pseudonym import Pseudonyms
from streams.transitions import (
    SentPositions,
)
from streams.window import encode_window
from tests.streams.pipeline_world import CONFIG, NOW_MS, DictTable, FakeRecord, a_click

PSEUDONYMOUS = msgspec.structs.replace(CONFIG, pseudonym_key="k" * 32)


PARENT = ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")


def test_with_a_pseudonym_key_no_effect_and_no_state_holds_a_user_id() -> None:
    pseudonym = Pseudonyms("k" * 32).of("zebediah")
    windows = DictTable()
    records = [
        a_click(0, "zebediah", "i1", event_id="zebediah-0", session_id="of-zebediah"),
        a_click(1, "zebediah", "i2")
        ._replace(headers=(PARENT, ("tracestate", b"u=zebediah"))),
        a_click(2, "zebediah", "i3", properties={"u": "zebediah"},
               place={"lat": 1.0, "lon": 2.0, "of": "zebediah"})
        ._replace(key=b"elsewhere", headers=(("ce_source", b"zebediah"),)),
        FakeRecord(3, NOW_MS, b"zebediah", b'{"user_id": "zebediah"}', (("u", b"zebediah"),)),
        FakeRecord(4, NOW_MS, b"other", None),
    ]  # fmt: skip
    effects = ClickPipeline(PSEUDONYMOUS).process(records, windows, SentPositions(0), rekey=True)
    assert set(windows) == {pseudonym}
    assert set(effects.changed) == {pseudonym}
    assert effects.changed[pseudonym].event_id is None
    assert effects.changed[pseudonym].trace == ()
    assert set(effects.erased) == {Pseudonyms("k" * 32).of("other")}
    (letter,) = effects.dead_letters
    assert (letter.value, letter.headers, letter.offset) == (None, (), 3)
    assert letter.reject.reason is RejectReason.MISSING_FIELD
    (rekeyed,) = effects.rekeyed
    assert (rekeyed.user_key, rekeyed.key) == (b"zebediah", pseudonym.encode())
    for sent in (letter.key, letter.reject.detail.encode(), rekeyed.value, *rekeyed.headers):
        assert sent is not None
        assert b"zebediah" not in sent
    assert b"zebediah" not in encode_window(windows[pseudonym])


def test_a_click_forwarded_under_a_pseudonym_is_the_click_it_was() -> None:
    click = a_click(0, "ann", "i1", event_type="purchase", event_id="e", place={"lat": 1, "lon": 2})
    pipeline = ClickPipeline(PSEUDONYMOUS)
    directly, forwarded = DictTable(), DictTable()
    pipeline.process([click], directly, SentPositions(1), rekey=True)
    effects = pipeline.process([click._replace(key=None)], forwarded, SentPositions(0), rekey=True)
    assert not forwarded
    (rekeyed,) = effects.rekeyed
    arrived = FakeRecord(0, click.timestamp, rekeyed.key, rekeyed.value)
    pipeline.process([arrived], forwarded, SentPositions(1), rekey=False)
    assert {u: encode_window(w) for u, w in forwarded.items()} == {
        u: encode_window(w) for u, w in directly.items()
    }


def test_a_forwarded_click_may_hold_anything_in_fields_of_no_use() -> None:
    click = a_click(0, "ann", "i1")
    value = click.value[:-1] + b', "price": 1e999}'
    records = [click._replace(key=None, value=value)]
    pipeline = ClickPipeline(PSEUDONYMOUS)
    (rekeyed,) = pipeline.process(records, DictTable(), SentPositions(0), rekey=True).rekeyed
    assert rekeyed.key == Pseudonyms("k" * 32).of("ann").encode()
    assert b"price" not in rekeyed.value


def test_a_forwarded_click_that_is_refused_keeps_its_pseudonym() -> None:
    pseudonym = Pseudonyms("k" * 32).of("ann").encode()
    records = [FakeRecord(0, NOW_MS, pseudonym, b"{}")]
    pipeline = ClickPipeline(PSEUDONYMOUS)
    effects = pipeline.process(records, DictTable(), SentPositions(1), rekey=False)
    assert [letter.key for letter in effects.dead_letters] == [pseudonym]
