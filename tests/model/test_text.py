import msgspec
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from model import text
from model.data import DataError
from model.item_table import ItemRow
from model.item_text import TextSpec
from model.sentences import SentenceEncoder
from model.text import build_sentences, likeness, prepare_item_text, sentence_onnx
from tests.model.text_samples import tiny_pretrained

TEXTS = ["red desk", "old oak lamp. big, new", "wool", "blue blue blue green rug steel unheard"]
SPEC = TextSpec(name="tiny", dim=32, max_tokens=24, precision="fp32")


@pytest.fixture(scope="module")
def pretrained():
    return tiny_pretrained()


@pytest.fixture(scope="module")
def model(pretrained):
    return sentence_onnx(pretrained.bert)


@pytest.fixture
def exported_once(model, monkeypatch):
    """An export takes seconds."""
    monkeypatch.setattr(text, "sentence_onnx", lambda _: model)


@pytest.fixture(scope="module")
def sentences(pretrained, model):
    return SentenceEncoder(SPEC, model, pretrained.tokenizer)


def by_transformers(pretrained, texts):
    """Mean over tokens of Hugging Face's own BERT, scaled to length 1."""
    tokenizer = Tokenizer.from_buffer(pretrained.tokenizer)
    vectors = []
    for one in texts:
        ids = torch.tensor([tokenizer.encode(one).ids])
        with torch.no_grad():
            mean = pretrained.bert(ids).last_hidden_state[0].mean(0)
        vectors.append((mean / mean.norm()).numpy())
    return np.array(vectors)


def test_the_exported_graph_gives_the_vectors_of_berts_own_implementation(pretrained, sentences):
    np.testing.assert_allclose(
        sentences.encode(TEXTS), by_transformers(pretrained, TEXTS), rtol=0, atol=2e-6
    )


def test_a_vector_depends_on_its_text_alone(sentences):
    together = sentences.encode(TEXTS * 20)
    for row, one in enumerate(TEXTS):
        np.testing.assert_allclose(sentences.encode([one])[0], together[row], rtol=0, atol=2e-6)


def test_a_text_longer_than_the_model_takes_is_cut(sentences):
    long = " ".join(["red"] * 500)
    np.testing.assert_array_equal(
        sentences.encode([long]), sentences.encode([" ".join(["red"] * 22)])
    )


def test_no_texts_give_no_vectors(sentences):
    assert sentences.encode([]).shape == (0, 32)


def test_the_graph_names_no_file_of_the_exporting_machine(model):
    assert not any(word in model for word in (b"site-packages", b".py", b"/work/", b"/tmp/"))


def test_int8_weights_are_kept_where_texts_stay_where_they_were(
    pretrained, model, exported_once, monkeypatch
):
    # Of 32 random dimensions, rounding moves a text further than of MiniLM's 384.
    monkeypatch.setattr(text, "MIN_COSINE", 0.9)
    monkeypatch.setattr(text, "MIN_NEIGHBOUR_OVERLAP", 0.0)
    spec, small, _, report = build_sentences(pretrained, TEXTS)
    assert (spec.precision, report["precision"]) == ("int8", "int8")
    assert len(small) < 0.6 * len(model)
    assert 0.9 <= report["cosine"] <= 1.001


def test_int8_weights_that_move_texts_are_refused(pretrained, model, exported_once, monkeypatch):
    monkeypatch.setattr(text, "MIN_COSINE", 1.01)
    spec, kept, sentences, report = build_sentences(pretrained, TEXTS)
    assert (spec.precision, report["precision"]) == ("fp32", "fp32")
    assert kept == model
    assert sentences.spec is spec


def test_likeness_counts_shared_neighbours():
    random = np.random.default_rng(0)
    vectors = random.normal(size=(40, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    same = likeness(vectors, vectors)
    assert same["cosine"] == pytest.approx(1, abs=1e-4)
    assert same["neighbour_overlap"] == 1
    shuffled = likeness(vectors, vectors[::-1].copy())
    assert shuffled["neighbour_overlap"] < 0.6


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"tokenizer": b"{"}, "tokenizer of item text cannot be read"),
        ({"model": b"not a graph"}, "cannot load the encoder of item text"),
    ],
)
def test_bytes_that_are_no_sentence_encoder_are_named(pretrained, model, changes, fault):
    good = {"model": model, "tokenizer": pretrained.tokenizer}
    with pytest.raises(ValueError, match=fault):
        SentenceEncoder(SPEC, **(good | changes))


def test_a_graph_with_other_inputs_is_no_sentence_encoder(artifact, pretrained):
    with pytest.raises(ValueError, match="takes"):
        SentenceEncoder(SPEC, artifact.model, pretrained.tokenizer)


def test_too_few_items_with_text_are_an_error_that_says_what_to_check():
    with pytest.raises(DataError, match="only 0 of the 2 items.*check the item ids of --items"):
        prepare_item_text({"c": ItemRow("Desk", ())}, ["a", "b"])


def test_the_specification_is_cut_to_what_the_pretrained_model_takes(pretrained, exported_once):
    spec, *_ = build_sentences(pretrained, TEXTS)
    assert msgspec.structs.replace(spec, precision="fp32") == SPEC
