"""Text to sentence vectors with ONNX Runtime and `tokenizers`: no torch, in training and serving.

Texts of one call are padded to its longest, and padding is masked, so a text's vector depends on
that text alone.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from model.graph_bounds import bound_memory, graph_fault
from model.item_text import TextSpec

FloatArray = NDArray[np.float32]

TEXT_INPUTS = ("token_ids", "attention_mask")
TEXT_OUTPUT = "vectors"
BATCH_TEXTS = 32


class SentenceEncoder:
    """One pretrained sentence encoder on the CPU. Safe to call from several threads."""

    def __init__(self, spec: TextSpec, model: bytes, tokenizer: bytes, *, threads: int = 1) -> None:
        """ValueError, one sentence, for bytes that are no tokenizer or no such model.

        ImportError where `tokenizers` (extra `text`) is not installed.
        """
        from tokenizers import Tokenizer

        self.spec = spec
        try:
            self._tokenizer: Any = Tokenizer.from_buffer(tokenizer)
        except Exception as error:  # the package raises plain Exception
            message = f"the tokenizer of item text cannot be read: {error}"
            raise ValueError(message) from error
        self._tokenizer.enable_truncation(max_length=spec.max_tokens)
        self._tokenizer.enable_padding()
        fault = graph_fault(model)
        if fault is not None:
            message = f"ONNX Runtime cannot load the encoder of item text: it {fault}"
            raise ValueError(message)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        bound_memory(options)
        try:
            self._session: Any = ort.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime raises a dozen unrelated classes
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            message = f"ONNX Runtime cannot load the encoder of item text: {reason}"
            raise ValueError(message) from error
        inputs = tuple(node.name for node in self._session.get_inputs())
        outputs = [node.name for node in self._session.get_outputs()]
        if inputs != TEXT_INPUTS or outputs != [TEXT_OUTPUT]:
            message = f"the encoder of item text takes {list(inputs)} and gives {outputs}"
            raise ValueError(message)

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """(n, dim) vectors of length 1; any number of texts."""
        vectors = np.zeros((len(texts), self.spec.dim), np.float32)
        # Texts of like length together: little is computed for padding.
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        for first in range(0, len(texts), BATCH_TEXTS):
            rows = order[first : first + BATCH_TEXTS]
            encoded = self._tokenizer.encode_batch([texts[row] for row in rows])
            inputs = {
                "token_ids": np.array([text.ids for text in encoded], np.int64),
                "attention_mask": np.array([text.attention_mask for text in encoded], np.int64),
            }
            (vectors[rows],) = self._session.run([TEXT_OUTPUT], inputs)
        return vectors
