"""What a fit is validated on, and what an encoder says of a log's events."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from model.hardware import CPU, Hardware
from model.net import SequenceEncoder
from model.ranking import ranking_metrics, target_ranks
from model.windows import EncodedLog, prediction_examples

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]

MAX_VALIDATION_EXAMPLES = 2048
_ROWS = 256


class Validation:
    """A sample of the validation events that the encoder can be asked about."""

    def __init__(self, encoded: EncodedLog, events: IntArray, random: np.random.Generator) -> None:
        if len(events) > MAX_VALIDATION_EXAMPLES:
            events = np.sort(random.choice(events, MAX_VALIDATION_EXAMPLES, replace=False))
        self._encoded = encoded
        self._windows, self._targets = prediction_examples(encoded, events)

    def __len__(self) -> int:
        return len(self._windows)

    def metrics(
        self, encoder: SequenceEncoder, hardware: Hardware
    ) -> Mapping[str, Mapping[str, float]]:
        """`ranking_metrics` of the target among all items but the window's others."""
        return ranking_metrics(self._ranks(encoder, hardware))

    def _ranks(self, encoder: SequenceEncoder, hardware: Hardware) -> IntArray:
        encoder.eval()
        ranks = []
        with torch.no_grad():
            for first in range(0, len(self._windows), _ROWS):
                arrays = self._encoded.inputs(self._windows[first : first + _ROWS])
                inputs = hardware.tensors(arrays)
                scores = encoder.last_logits(inputs, inputs["lengths"]).cpu().numpy()
                wanted = self._targets[first : first + _ROWS]
                of_target = scores[np.arange(len(wanted)), wanted - 1]
                rows, columns = np.nonzero(arrays["items"])
                scores[rows, arrays["items"][rows, columns] - 1] = -np.inf
                scores[np.arange(len(wanted)), wanted - 1] = of_target
                ranks.append(target_ranks(scores, wanted - 1))
        return np.concatenate(ranks)


def log_probabilities(
    encoder: SequenceEncoder, encoded: EncodedLog, events: IntArray
) -> FloatArray:
    """(n, items of the log) log-probabilities of what each event could have been.

    Items that the encoder does not know are at -inf; so is the whole row of an event before which
    no known item happened.
    """
    scores = np.full((len(events), len(encoded.log.items)), -np.inf, np.float32)
    windows = [encoded.window_before(int(event)) for event in events]
    rows = [row for row, (start, end) in enumerate(windows) if end > start]
    encoder.eval()
    with torch.no_grad():
        for first in range(0, len(rows), _ROWS):
            part = np.array(rows[first : first + _ROWS], np.int64)
            inputs = CPU.tensors(encoded.inputs([windows[row] for row in part]))
            logits = encoder.last_logits(inputs, inputs["lengths"])
            scores[np.ix_(part, encoded.known)] = functional.log_softmax(logits, -1).numpy()
    return scores
