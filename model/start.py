"""What a fit begins with: sizes, features and weights. By chance, unless there is an encoder."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from model.data import Sequences
from model.features import FeatureSpec
from model.log_features import usable_features
from model.net import SequenceEncoder
from model.windows import EncodedLog


class Sizes(NamedTuple):
    """Sizes of an encoder that no training can change."""

    dim: int = 64
    layers: int = 2
    heads: int = 2
    max_length: int = 50  # events


class Rated(NamedTuple):
    """Parameters that are trained at `rate` times the learning rate."""

    parameters: list[nn.Parameter]
    rate: float


class Start:
    """By chance: every weight as it was drawn, and all of them trained at one rate."""

    @property
    def fingerprint(self) -> str:
        """Of what a resumed fit must have begun with too."""
        return ""

    def sizes(self, **asked: int | None) -> Sizes:
        """The sizes asked for, and the usual ones for those that are None."""
        return Sizes(**{name: size for name, size in asked.items() if size is not None})

    def feature_spec(
        self, log: Sequences, wanted: Sequence[str] | None, max_length: int, place_buckets: int
    ) -> FeatureSpec:
        """The features asked for, or all that the log can feed. DataError for one that it cannot.

        place_buckets: size of the place vocabulary, where there are places.
        """
        return FeatureSpec(
            usable_features(log, wanted),
            tuple(sorted(log.event_types)),
            place_buckets if log.place_cell.any() else 0,
            max_length,
        )

    def begin(self, encoder: SequenceEncoder, encoded: EncodedLog) -> list[Rated]:
        """Put a fresh encoder of the log's items where the fit begins; what of it is trained."""
        del encoded
        return [Rated(list(encoder.parameters()), 1.0)]

    def end(self, encoder: SequenceEncoder) -> None:
        """Make the fitted encoder a plain one again: no modules but its own."""

    def record(self, spec: FeatureSpec, items: Sequence[str]) -> dict[str, object] | None:
        """What the artefact with these features and items says of it: None for nothing."""
        del spec, items
        return None


BY_CHANCE = Start()
