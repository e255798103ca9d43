"""One encoder that learns step by step, and the average of its weights that is kept."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.augment import PADDING, UNCHANGED, Augmentation, augmented
from model.fit_state import Progress, load_state, save_state
from model.hardware import Hardware
from model.net import EncoderConfig, SequenceEncoder
from model.objectives import Losses
from model.start import Start
from model.windows import EncodedLog, Window

IntArray = NDArray[np.int64]

WARM_UP_STEPS = 100
# The average of the weights reaches back over about this share of all steps so far (polynomial
# averaging, Shamir and Zhang, ICML 2013); the average is what is validated and kept.
AVERAGED_SHARE = 0.1
MAX_GRADIENT_NORM = 1.0


class Learner:
    """Encoder, average and optimiser on their hardware.

    One seed says everything: weights to begin with, dropout and masks. All processes of a training
    begin with the same weights and draw dropout and masks of their own.
    """

    def __init__(
        self,
        config: EncoderConfig,
        encoded: EncodedLog,
        start: Start,
        hardware: Hardware,
        *,
        learning_rate: float,
        seed: int,
        may_skip_weights: bool,
        augmentation: Augmentation = UNCHANGED,
    ) -> None:
        """start: what the encoder begins with. may_skip_weights: not every step uses every one."""
        self.hardware = hardware
        self._start, self._encoded = start, encoded
        torch.manual_seed(seed)
        encoder, average = SequenceEncoder(config), SequenceEncoder(config)
        trained = start.begin(encoder, encoded)
        start.begin(average, encoded)
        average.load_state_dict(encoder.state_dict())
        self.encoder, self.average = encoder.to(hardware.device), average.to(hardware.device)
        self.best = self._averaged()
        self.trained_parameters = sum(w.numel() for part in trained for w in part.parameters)
        self._learning_rate = learning_rate
        groups = [{"params": part.parameters, "rate": part.rate} for part in trained]
        self._optimizer = torch.optim.Adam(groups, lr=learning_rate, betas=(0.9, 0.98), fused=True)
        self._seed = seed
        self._masks = torch.Generator().manual_seed(seed)
        self._augmentation = augmentation
        self._losses = hardware.together(
            Losses(encoder, self._masks), may_skip_weights=may_skip_weights
        )
        if hardware.processes > 1:
            self.reseed(0)

    @property
    def learning_rate(self) -> float:
        """Of the last step, where its part of the weights is not slowed down."""
        rate: float = self._optimizer.param_groups[0]["lr"]
        return rate

    def learn(self, windows: list[Window], step: int, *, masked: bool) -> float:
        """The loss of step number `step`, from 0, after which the weights are better."""
        for group in self._optimizer.param_groups:
            warm = min(1.0, (step + 1) / WARM_UP_STEPS)
            group["lr"] = self._learning_rate * group["rate"] * warm
        self.encoder.train()
        with self.hardware.autocast():
            loss: Tensor = self._losses(self._inputs(windows, step, masked), masked=masked)
        self.hardware.step(loss, self.encoder, self._optimizer, max_norm=MAX_GRADIENT_NORM)
        rate = 1 / (AVERAGED_SHARE * (step + 1) + 1)
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.encoder.parameters(), strict=True)
            for kept, current in pairs:
                kept.lerp_(current, rate)
        return float(loss.detach())

    def _inputs(self, windows: list[Window], step: int, masked: bool) -> dict[str, Tensor]:
        arrays = self._encoded.inputs(windows)
        if masked:  # a window has one event more than the encoder sees
            seen = self.encoder.config.positions
            arrays = {name: ids[:, :seen] for name, ids in arrays.items() if ids.ndim == 2}
        elif self._augmentation.active:
            # The draws depend on the step alone, and so can be resumed.
            draws = np.random.default_rng((self._seed, self.hardware.rank, step))
            arrays = augmented(arrays, arrays["lengths"], draws, self._augmentation, PADDING)
        return self.hardware.tensors(arrays)

    def keep(self) -> None:
        """The average as it is now is the best so far."""
        self.best = self._averaged()

    def kept(self, *, best: bool) -> SequenceEncoder:
        """The best average, or the last one; on the CPU, done with learning."""
        if best:
            self.average.load_state_dict(self.best)
        self._start.end(self.average)
        return self.average.cpu().eval()

    def reseed(self, step: int) -> None:
        """Dropout and masks draw on from numbers that a resumed fit knows too."""
        number = np.random.SeedSequence((self._seed, self.hardware.rank, step)).generate_state(1)
        torch.manual_seed(int(number[0]))
        self._masks.manual_seed(int(number[0]))

    def save(self, directory: Path, progress: Progress) -> None:
        """Everything that `restore` needs; the first process writes, all draw on anew."""
        if self.hardware.is_first:
            save_state(directory, progress, self.encoder, self.average, self.best, self._optimizer)
        self.reseed(progress.step)

    def restore(self, directory: Path, fingerprint: str) -> Progress | None:
        """Take up what `save` wrote; None where nothing is. DataError where it does not fit."""
        found = load_state(
            directory, fingerprint, self.encoder, self.average, self.best, self._optimizer
        )
        if found is not None:
            self.reseed(found.step)
        return found

    def _averaged(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self.average.state_dict().items()}
