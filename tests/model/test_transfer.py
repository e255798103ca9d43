"""A fit that begins with another encoder: what is kept, what is new, what is refused."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from model.augment import Augmentation
from model.cold_items import ItemTextEncoder
from model.data import DataError, leave_one_out
from model.fit import Fit, fit
from model.net import SequenceEncoder
from model.start import BY_CHANCE, Sizes
from model.transfer import ADAPTERS, Transfer, start_of
from model.windows import EncodedLog
from tests.model.samples import ITEMS as SAMPLE_ITEMS
from tests.model.sources import (
    NOTHING,
    OPTIONS,
    config_for,
    encoded_log,
    fitted_source,
    renamed_log,
)
from tests.model.text_samples import described, make_text_artifact

ITEMS = "bert.embeddings.word_embeddings.weight"
Source = tuple[SequenceEncoder, object, list[str]]


@pytest.fixture(scope="module")
def source() -> Source:
    return fitted_source(renamed_log("", ("click", "like")), ("event_type", "time_gap"))


def fit_from(start, log, *, features=(), validation=NOTHING, state=None, report=None, **options):
    encoded = encoded_log(log, features)
    config = config_for(encoded, masked=options.get("objective", "next") != "next")
    split = leave_one_out(log)
    more = {} if report is None else {"report": report}
    return fit(
        config, encoded, split.train, validation, OPTIONS._replace(**options), state=state,
        start=start, **more,
    )  # fmt: skip


def weights(encoder: SequenceEncoder) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in encoder.named_parameters()}


def test_the_body_is_kept_and_unknown_items_begin_near_the_mean_of_the_known(source):
    start = Transfer(*source, "none")
    kept = weights(source[0])
    begun = weights(
        fit_from(start, renamed_log("new-"), features=("time_gap",), max_steps=0).encoder
    )
    body = set(begun) & set(kept) - {ITEMS, "item_bias"}
    assert len(body) == 21
    assert all(torch.equal(begun[name], kept[name]) for name in body)
    assert not begun["item_bias"].any()
    apart = begun[ITEMS][1:] - kept[ITEMS][1:].mean(0)
    assert 0.015 < apart.std() < 0.025 < kept[ITEMS][1:].std()
    assert not begun[ITEMS][0].any()  # padding


def test_items_known_under_the_same_id_keep_their_embedding(source):
    log = renamed_log("")
    names = [name if number % 2 else f"new-{name}" for number, name in enumerate(log.items)]
    start = Transfer(*source, "none")
    begun = weights(fit_from(start, log._replace(items=names), max_steps=0).encoder)
    kept = weights(source[0])
    for number, name in enumerate(names):
        same = name in source[2]
        row = source[2].index(log.items[number])
        assert torch.equal(begun[ITEMS][number + 1], kept[ITEMS][row + 1]) is same
        assert torch.equal(begun["item_bias"][number], kept["item_bias"][row]) is same


def test_items_begin_where_the_source_places_their_text(tmp_path: Path):
    artifact = make_text_artifact(tmp_path)
    log = renamed_log("new-")._replace(
        items=[f"t{number}" for number in range(28)] + ["?", SAMPLE_ITEMS[0]]
    )
    rows = described(log.items[:28])
    start = start_of(tmp_path / "checkpoint", items=log.items, rows=rows | described(["other"]))
    encoded = EncodedLog(log, np.arange(30), artifact.manifest.feature_spec())
    config = msgspec.structs.replace(start.source.config, items=30)
    begun, drawn = SequenceEncoder(config), SequenceEncoder(config)
    drawn.load_state_dict(begun.state_dict())
    start.begin(begun, encoded)
    vectors, biases = ItemTextEncoder(artifact.manifest.text, artifact.text, dim=config.dim).encode(
        [row.title for row in rows.values()], [row.categories for row in rows.values()]
    )
    embeddings, bias = begun.item_embeddings.detach(), begun.item_bias.detach()
    np.testing.assert_allclose(embeddings[:28], vectors, rtol=1e-6)
    np.testing.assert_allclose(bias[:28], biases, rtol=1e-6)
    mean = start.source.item_embeddings.mean(0)
    assert torch.equal(embeddings[28], drawn.item_embeddings[28] + mean)  # has no text
    assert torch.equal(embeddings[29], start.source.item_embeddings[0])  # is known by its id
    record = start.record(artifact.manifest.feature_spec(), log.items)
    assert (record["items_kept"], record["items_placed_by_text"]) == (1, 28)


def test_event_types_keep_their_embedding_by_name(source):
    log = renamed_log("new-", ("like", "buy"))
    start = Transfer(*source, "none")
    begun = weights(fit_from(start, log, features=("event_type",), max_steps=0).encoder)
    name = "feature_embeddings.event_type.weight"
    new, kept = begun[name], weights(source[0])[name]
    assert torch.equal(new[:2], kept[:2])
    assert torch.equal(new[3], kept[3])  # of (buy, like) and (click, like) the second
    assert not torch.equal(new[2], kept[2])


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_fit_of_few_steps_is_better_than_one_by_chance(source, adapter):
    log = renamed_log("")
    examples = leave_one_out(log).validation
    few = {"features": ("time_gap",), "validation": examples, "max_steps": 20}
    begun = fit_from(Transfer(*source, adapter), log, **few)
    assert begun.ndcg_at_10 > 0.7 > 0.4 > fit_from(BY_CHANCE, log, **few).ndcg_at_10


def test_new_items_are_learned_by_a_body_that_is_kept(source):
    log = renamed_log("new-")
    examples = leave_one_out(log).validation
    start = Transfer(*source, "lora")
    assert fit_from(start, log, validation=examples, max_steps=250).ndcg_at_10 > 0.75


def test_the_body_is_changed_more_slowly_than_new_embeddings(source):
    encoded = encoded_log(renamed_log("new-"))
    encoder = SequenceEncoder(config_for(encoded))
    new, body = Transfer(*source, "none").begin(encoder, encoded)
    assert new.rate == 1.0 > body.rate
    shapes = sorted(tuple(parameter.shape) for parameter in new.parameters)
    assert shapes == [(30,), (31, 16)]
    assert len(new.parameters) + len(body.parameters) == len(list(encoder.parameters()))


def test_only_adapters_and_tables_of_ids_are_trained_with_lora(source):
    log = renamed_log("new-", ("click", "buy"))
    fitted = fit_from(Transfer(*source, "lora"), log, features=("event_type",), max_steps=2)
    adapters = 8 * (4 * (16 + 16) + 2 * (16 + 64))
    assert fitted.trained_parameters == adapters + 31 * 16 + 30 + 4 * 16
    assert type(fitted.encoder) is SequenceEncoder
    new, kept = weights(fitted.encoder), weights(source[0])
    assert set(new) == set(weights(SequenceEncoder(fitted.encoder.config)))
    assert all(parameter.requires_grad for parameter in fitted.encoder.parameters())
    changed = {name for name in set(new) & set(kept) if not torch.equal(new[name], kept[name])}
    layer = "bert.encoder.layer.0."
    assert changed == {
        ITEMS,
        "item_bias",
        "feature_embeddings.event_type.weight",
        *(f"{layer}attention.self.{part}.weight" for part in ("query", "key", "value")),
        *(f"{layer}{part}.dense.weight" for part in ("attention.output", "intermediate", "output")),
    }


class BrokenOffError(Exception):
    """The machine went away."""


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_an_interrupted_fit_from_an_encoder_ends_in_the_same_weights(
    source, adapter: str, tmp_path: Path
):
    log = renamed_log("new-")
    options = {
        "validation": leave_one_out(log).validation,
        "max_steps": 50,
        "max_seconds": 1e9,
        "objective": "masked+next",
        "augmentation": Augmentation(0.3, 0.2, 0.3),
    }

    def break_off(_seconds: float, step: int, _loss: float, _best: float) -> None:
        if step == 33:
            raise BrokenOffError

    def run(folder: str, report=None) -> Fit:
        start = Transfer(*source, adapter)
        return fit_from(start, log, state=tmp_path / folder, report=report, **options)

    whole = run("whole")
    with pytest.raises(BrokenOffError):
        run("broken", break_off)
    resumed = run("broken")
    assert [point.loss for point in resumed.curve] == [point.loss for point in whole.curve]
    assert resumed.steps == whole.steps
    one, other = weights(whole.encoder), weights(resumed.encoder)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_state_of_a_fit_that_began_elsewhere_is_refused(source, tmp_path: Path):
    log = renamed_log("new-")
    fit_from(Transfer(*source, "none"), log, state=tmp_path, max_steps=3)
    for other in (BY_CHANCE, Transfer(*source, "lora")):
        with pytest.raises(DataError, match="other data or options"):
            fit_from(other, log, state=tmp_path, max_steps=3)


def test_features_are_those_of_the_source_that_the_log_can_feed(source):
    start = Transfer(*source, "none")
    log = renamed_log("new-")  # one event type
    spec = start.feature_spec(log, None, 10, 64)
    assert spec.features == ("time_gap",)
    record = start.record(spec, ["i3", "i4", "new-i5"])
    assert record == {
        "name": "source", "version": "v1", "adapter": "none", "items_kept": 2,
        "items_placed_by_text": 0,
        "features_left_out": ["event_type"], "features_new": [],
    }  # fmt: skip
    asked = start.feature_spec(log, ["hour_of_week"], 10, 64)
    assert asked.features == ("hour_of_week",)
    assert start.record(asked, [])["features_new"] == ["hour_of_week"]
    with pytest.raises(DataError, match="nothing to feed the feature place"):
        start.feature_spec(log, ["place"], 10, 64)


def test_sizes_are_those_of_the_source_and_another_one_is_refused(source):
    start = Transfer(*source, "none")
    assert start.sizes(dim=None, layers=1, heads=None, max_length=None) == Sizes(16, 1, 2, 10)
    assert BY_CHANCE.sizes(dim=None, layers=3, heads=None, max_length=None) == Sizes(64, 3, 2, 50)
    with pytest.raises(DataError, match="--max-length 50 is not the 10 of the encoder"):
        start.sizes(max_length=50)


def test_wrong_use_is_one_sentence(tmp_path: Path):
    with pytest.raises(ValueError, match="adapter 'prefix' is none of none, lora"):
        start_of(None, "prefix")
    with pytest.raises(ValueError, match="--adapter is about an encoder that is there"):
        start_of(None, "lora")
    with pytest.raises(ValueError, match="--fresh-items is about an encoder that is there"):
        start_of(None, fresh_items=True)
    with pytest.raises(ValueError, match="is not a checkpoint of"):
        start_of(tmp_path)
