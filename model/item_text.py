"""Item text in an artefact: what it is made of, and the files that carry its encoder.

    text.onnx        token ids to sentence vectors: a small BERT, mean over tokens, length 1
    tokenizer.json   text to token ids, in the format of the `tokenizers` package
    projection.npy   (text dim + 1, dim + 1) float32: a sentence vector and a 1 times this is the
                     item's embedding and, in the last column, its bias

They stand in an artefact that was trained with item text, all three or none.
"""

import io
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

TEXT_MODEL_FILE = "text.onnx"
TOKENIZER_FILE = "tokenizer.json"
PROJECTION_FILE = "projection.npy"
TEXT_FILES = (TEXT_MODEL_FILE, TOKENIZER_FILE, PROJECTION_FILE)
MAX_TEXT_FILE_BYTES = {
    TEXT_MODEL_FILE: (1 << 31) - 1,  # a protobuf message cannot be larger
    TOKENIZER_FILE: 64 << 20,
    PROJECTION_FILE: 64 << 20,
}
PRECISIONS = ("fp32", "int8")
MAX_TEXT_DIM = 8192
MAX_TOKENS = 512
MAX_TITLE_CHARACTERS = 1000


class TextSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What encodes item text; stored in the manifest."""

    name: str  # of the pretrained model
    dim: int  # of a sentence vector
    max_tokens: int  # what is longer is cut
    precision: str  # one of PRECISIONS: of the weights

    def faults(self) -> list[str]:
        """What makes no sense of it."""
        checks = [
            (not 1 <= self.dim <= MAX_TEXT_DIM, f"dim {self.dim}, not in 1..{MAX_TEXT_DIM}"),
            (
                not 2 < self.max_tokens <= MAX_TOKENS,
                f"max_tokens {self.max_tokens}, not in 3..{MAX_TOKENS}",
            ),
            (self.precision not in PRECISIONS, f"precision {self.precision!r}"),
        ]
        return [fault for is_fault, fault in checks if is_fault]


class TextFiles(NamedTuple):
    """Contents of the files, as bytes."""

    model: bytes
    tokenizer: bytes
    projection: bytes

    def by_name(self) -> dict[str, bytes]:
        """Contents by file name."""
        return dict(zip(TEXT_FILES, self, strict=True))


def item_text(title: str, categories: Sequence[str]) -> str:
    """The text of an item as it is encoded, in training and in serving; "" if nothing is known.

    What sets items apart best comes first: long text is cut.
    """
    parts = [title.strip()[:MAX_TITLE_CHARACTERS], ", ".join(filter(None, categories))]
    return ". ".join(filter(None, parts))[: 2 * MAX_TITLE_CHARACTERS]


def projection_bytes(projection: FloatArray) -> bytes:
    """A projection as the content of its file."""
    buffer = io.BytesIO()
    np.save(buffer, projection.astype("<f4"), allow_pickle=False)
    return buffer.getvalue()


def read_projection(data: bytes, spec: TextSpec, dim: int) -> FloatArray:
    """The projection in a file's content; `dim` is the encoder's. ValueError if it is not one."""
    try:
        # Not np.load, which takes archives and pickles too.
        projection = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        message = f"{PROJECTION_FILE} is not a numpy array: {error}"
        raise ValueError(message) from error
    wanted = (spec.dim + 1, dim + 1)
    if projection.dtype != np.dtype("<f4"):
        message = f"{PROJECTION_FILE} does not hold float32 numbers"
        raise ValueError(message)
    if projection.shape != wanted or not np.isfinite(projection).all():
        message = (
            f"{PROJECTION_FILE} holds numbers of shape {projection.shape}, some perhaps not "
            f"finite; it must hold finite ones of shape {wanted}"
        )
        raise ValueError(message)
    return projection
