"""One small exported encoder, shared by the tests of artefact and scorer."""

from pathlib import Path

import pytest
import torch

from model.artifact import Artifact
from model.blend import Blend
from model.export import save_artifact
from model.net import SequenceEncoder
from model.scorer import EncoderScorer
from tests.model.samples import ITEMS, SPEC, random_encoder

# Small matrices: a second thread only waits, and waits long on a busy machine.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def same_weights_every_time() -> None:
    """Draw what a test does not seed itself from one seed: a red test is red again."""
    torch.manual_seed(11)


@pytest.fixture(scope="session")
def encoder() -> SequenceEncoder:
    return random_encoder(SPEC, len(ITEMS))


@pytest.fixture(scope="session")
def artifact(encoder: SequenceEncoder, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder: Path = tmp_path_factory.mktemp("artifact")
    return save_artifact(
        encoder,
        folder / "small",
        name="small",
        spec=SPEC,
        items=ITEMS,
        top_k=10,
        blend=Blend(graph=0.5),
        repeat_policy="allow",
        training={"seed": 5},
        metrics={},
        versions={},
        created="2026-01-31T12:00:00Z",
        checkpoint=folder / "checkpoint",
    )


@pytest.fixture(scope="session")
def scorer(artifact: Artifact) -> EncoderScorer:
    return EncoderScorer.load(artifact.path, engine="cpu")
