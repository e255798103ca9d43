"""A sentence encoder of a few random weights, and items whose text tells what they are."""

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from model.artifact import Artifact
from model.blend import Blend
from model.export import save_artifact
from model.item_table import ItemRow
from model.item_text import TextFiles, projection_bytes
from model.text import ItemText, Pretrained, build_sentences
from tests.model.samples import ITEMS, SPEC, random_encoder

WORDS = ("red", "green", "blue", "desk", "lamp", "rug", "oak", "steel", "wool", "old", "new", "big")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def tiny_pretrained() -> Pretrained:
    torch.manual_seed(3)
    bert = BertModel(
        BertConfig(
            vocab_size=len(SPECIAL) + len(WORDS),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=48,
            max_position_embeddings=24,
        ),
        add_pooling_layer=False,
    )
    with torch.no_grad():  # initial weights are too small to tell one text from another
        for weight in bert.parameters():
            if weight.ndim == 2:
                weight.mul_(12)
    return Pretrained("tiny", bert.eval(), tiny_tokenizer())


def tiny_tokenizer() -> bytes:
    vocabulary = {word: number for number, word in enumerate((*SPECIAL, *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    return tokenizer.to_str().encode()


def described(items: list[str]) -> dict[str, ItemRow]:
    """Three words an item, a different three for each of the first 1,700 or so."""
    count = len(WORDS)
    return {
        item: ItemRow(
            f"{WORDS[n % count]} {WORDS[n // count % count]}",
            (WORDS[(n // count**2 + 5 * n) % count],),
        )
        for n, item in enumerate(items)
    }


def make_text_artifact(folder: Path) -> Artifact:
    """The random encoder of the samples with a random projection, in `small`; `checkpoint`."""
    torch.set_num_threads(1)
    encoder = random_encoder(SPEC, len(ITEMS))
    pretrained = tiny_pretrained()
    texts = [row.text for row in described(ITEMS).values()]
    spec, model, _, _ = build_sentences(pretrained, texts)
    shape = (spec.dim + 1, encoder.config.dim + 1)
    projection = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    files = TextFiles(model, pretrained.tokenizer, projection_bytes(projection))
    return save_artifact(
        encoder,
        folder / "small",
        name="small",
        spec=SPEC,
        items=ITEMS,
        top_k=10,
        blend=Blend(graph=0.5),
        repeat_policy="allow",
        training={},
        metrics={},
        versions={},
        created="2026-01-31T12:00:00Z",
        checkpoint=folder / "checkpoint",
        text=ItemText(spec, files, texts[:4], {}),
    )
