"""Objectives: the losses are the textbook's, and the masks are what BERT's are."""

import pytest
import torch
from torch.nn import functional

from model import objectives
from model.net import EncoderConfig, SequenceEncoder
from model.objectives import draw_mask, item_loss, masked_item_loss, next_item_loss

LONG = 12


@pytest.fixture
def encoder() -> SequenceEncoder:
    torch.manual_seed(0)
    config = EncoderConfig(items=50, dim=16, layers=2, heads=2, max_length=LONG, masked=True)
    return SequenceEncoder(config).eval()


def windows(size: int = 8) -> torch.Tensor:
    random = torch.Generator().manual_seed(1)
    items = torch.randint(1, 51, (size, LONG), generator=random)
    items[0, 5:] = 0
    items[1, 1:] = 0
    return items


@pytest.mark.parametrize("rows_at_once", [1, 3, 1000])
def test_loss_and_gradients_are_those_of_a_linear_layer_and_cross_entropy(
    encoder: SequenceEncoder, rows_at_once: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(objectives, "_CHUNK_CELLS", rows_at_once * 50)
    torch.manual_seed(2)
    hidden = torch.randn(17, 16, requires_grad=True)
    wanted = torch.randint(50, (17,))
    leaves = [hidden, encoder.bert.embeddings.word_embeddings.weight, encoder.item_bias]
    ours = torch.autograd.grad(2.5 * item_loss(encoder, hidden, wanted), leaves)
    textbook = functional.cross_entropy(encoder.logits(hidden), wanted)
    torch.testing.assert_close(item_loss(encoder, hidden, wanted), textbook)
    theirs = torch.autograd.grad(2.5 * textbook, leaves)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_the_next_item_loss_is_the_mean_over_real_next_items(encoder: SequenceEncoder):
    items = windows()
    logits = encoder.logits(encoder({"items": items[:, :-1]}))
    expected = functional.cross_entropy(logits.transpose(1, 2), items[:, 1:] - 1, ignore_index=-1)
    torch.testing.assert_close(next_item_loss(encoder, {"items": items}), expected)


def test_a_mask_hides_a_fifth_of_the_events_at_least_one_and_never_padding():
    items = windows(4000)
    masked = draw_mask(items, torch.Generator().manual_seed(3))
    real = items > 0
    assert not masked[~real].any()
    assert masked.any(1).all()
    assert 0.17 < masked[real].float().mean() < 0.23
    only_last = masked[:, -1] & (masked.sum(1) == 1)
    assert only_last[2:].float().mean() > objectives.LAST_MASKED_SHARE


def test_a_masked_item_is_not_visible_to_its_own_prediction(encoder: SequenceEncoder):
    items = windows()
    masked = torch.zeros_like(items, dtype=torch.bool)
    masked[2, 4] = True
    other = items.clone()
    other[2, 4] = items[2, 4] % 50 + 1
    torch.testing.assert_close(
        encoder({"items": items}, masked=masked), encoder({"items": other}, masked=masked)
    )


def test_masked_prediction_sees_both_sides_and_serving_only_the_past(encoder: SequenceEncoder):
    items = windows()
    later = items.clone()
    later[3, -1] = items[3, -1] % 50 + 1
    masked = torch.zeros_like(items, dtype=torch.bool)
    masked[3, 4] = True
    seen = encoder({"items": items}, masked=masked) - encoder({"items": later}, masked=masked)
    assert seen[3, 4].abs().max() > 1e-5
    causal = encoder({"items": items}) - encoder({"items": later})
    assert causal[3, :-1].abs().max() == 0


def test_padding_changes_no_masked_prediction(encoder: SequenceEncoder):
    items = windows()[:1]
    masked = torch.zeros_like(items, dtype=torch.bool)
    masked[0, 2] = True
    short = encoder({"items": items[:, :5]}, masked=masked[:, :5])
    torch.testing.assert_close(encoder({"items": items}, masked=masked)[:, :5], short)


def test_the_masked_loss_trains_the_embedding_of_the_mask(encoder: SequenceEncoder):
    masked_item_loss(encoder, {"items": windows()}).backward()
    assert encoder.mask_embedding.grad is not None
    assert encoder.mask_embedding.grad.abs().max() > 0


def test_masked_inputs_are_asked_for_what_was_there(encoder: SequenceEncoder):
    items = windows()
    shown = items.clone()
    shown[2, 3] = 0
    logits = encoder.logits(encoder({"items": shown[:, :-1]}))
    expected = functional.cross_entropy(logits.transpose(1, 2), items[:, 1:] - 1, ignore_index=-1)
    torch.testing.assert_close(
        next_item_loss(encoder, {"items": shown, "targets": items}), expected
    )


@pytest.fixture
def both_sides() -> SequenceEncoder:
    torch.manual_seed(0)
    config = EncoderConfig(
        items=50, dim=16, max_length=LONG, features={"time_gap": 9}, masked=True, causal=False
    )
    encoder = SequenceEncoder(config).eval()
    with torch.no_grad():
        encoder.feature_embeddings["time_gap"].weight[1:].normal_()
    return encoder


def test_the_masked_event_behind_a_window_is_what_training_masks(both_sides: SequenceEncoder):
    items = windows()
    lengths = (items > 0).sum(1)
    gaps = torch.where(items > 0, torch.randint(1, 9, items.shape), 0)
    asked = both_sides.last_hidden({"items": items, "time_gaps": gaps}, lengths)
    for row, length in enumerate(lengths.tolist()):
        followed = torch.cat([items[row, :length], torch.tensor([17])])[None]
        its_gaps = torch.cat([gaps[row, :length], torch.tensor([3])])[None]
        masked = torch.zeros_like(followed, dtype=torch.bool)
        masked[0, length] = True
        hidden = both_sides({"items": followed, "time_gaps": its_gaps}, masked=masked)
        torch.testing.assert_close(hidden[0, length], asked[row])


def test_serving_with_a_masked_event_sees_every_event_of_the_window(both_sides: SequenceEncoder):
    items = windows()
    gaps = (items > 0).long()
    lengths = (items > 0).sum(1)
    asked = both_sides.last_hidden({"items": items, "time_gaps": gaps}, lengths)
    for place in range(5):
        other = items.clone()
        other[0, place] = items[0, place] % 50 + 1
        changed = both_sides.last_hidden({"items": other, "time_gaps": gaps}, lengths)
        assert (changed[0] - asked[0]).abs().max() > 1e-5
        torch.testing.assert_close(changed[1:], asked[1:])
