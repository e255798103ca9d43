"""A sentence encoder of a few random weights, and items whose text tells what they are."""

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from model.item_table import ItemRow
from model.text import Pretrained

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
