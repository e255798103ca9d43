"""Histories to scores with ONNX Runtime: what a worker runs.

A user's scores depend on that user's history and candidates alone: rows of a batch never mix, and
padding is masked. Different batch or padded shapes may take different code paths in the engine's
matrix products, so equality is within 1e-5 of a log-probability, not bitwise.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from model.artifact import Artifact, ArtifactError, Manifest, Smoke, load_artifact
from model.buckets import Buckets
from model.cold_items import ItemTextEncoder, ItemVectors
from model.engine import (
    CPU,
    OUTPUTS,
    STATE_OUTPUTS,
    EngineError,
    check_signature,
    choose_providers,
    cuda_devices,
    open_session,
)
from model.graph_bounds import MEMORY_SHARE, stop_after
from model.kernels import are_ids
from model.prepared_batch import History, PreparedBatch, WindowReader
from model.scores import Scores, States, with_new_items

# With the names of its parts that a worker uses: it imports no other module of scoring.
__all__ = [
    "EncoderScorer",
    "EngineError",
    "History",
    "ItemVectors",
    "PreparedBatch",
    "Scores",
    "States",
    "choose_providers",
    "cuda_devices",
]

IntArray = NDArray[np.int64]
Result = TypeVar("Result")

# Largest cosine distance of an item's place from the recorded one: int8 products round in other
# ways on other processors.
TEXT_TOLERANCE = 0.02
# A few windows; a graph that takes longer is nothing to serve with.
SMOKE_SECONDS = 30.0
# Of the columns of Scores, and then of States.
_KINDS = (np.int64, np.float32, np.float32, np.float32, np.float32)
_UNKNOWN = (0, -np.inf, -np.inf)  # what stands there for a history of unknown items only


class EncoderScorer:
    """One artefact on one engine. `run` may be called from several threads at once."""

    def __init__(
        self,
        manifest: Manifest,
        items: list[str],
        session: Any,
        provider: str,
        *,
        max_batch: int,
        loaded_at: float,
        side_by_side: int = 1,
        text: ItemTextEncoder | None = None,
    ) -> None:
        """side_by_side: calls of the engine that one batch may have running at a time."""
        self.manifest = manifest
        self.text = text
        """Places new items by their text; None: without item text, or without `tokenizers`."""
        self.name = manifest.name
        self.version = manifest.version
        self.items = items
        self.provider = provider
        self.max_batch = max_batch
        self.loaded_at = loaded_at  # seconds since the epoch
        self.buckets = Buckets.up_to(manifest.max_length, max_batch)
        self._item_index = {item: index + 1 for index, item in enumerate(items)}
        self._windows = WindowReader(manifest.feature_spec(), self._item_index)
        self._session = session
        self._run_options: Any = None
        # A GPU replays one plan per shape; on a CPU padded rows would only be wasted work.
        self._pad_batch = provider != CPU
        self._side_by_side = side_by_side
        self._pool = ThreadPoolExecutor(side_by_side, "encoder") if side_by_side > 1 else None

    @classmethod
    def load(
        cls,
        path: Path | str,
        *,
        engine: str = "auto",
        threads: int = 1,
        max_batch: int = 64,
        now: Callable[[], float] = time.time,
    ) -> "EncoderScorer":
        """Load an artefact and let it reproduce its recorded scores.

        engine: `auto` takes CUDA where a device is visible, else the CPU; `cuda` never falls
        back. threads: of the CPU, for one batch. ArtifactError (or EngineError) on any fault.
        """
        artifact = load_artifact(path)
        scorer = cls.of_model(
            artifact.manifest,
            artifact.items,
            artifact.model,
            engine=engine,
            threads=threads,
            max_batch=max_batch,
            now=now,
        )
        scorer.text = _item_text(artifact)
        scorer._check_smoke(artifact.smoke)
        return scorer

    @classmethod
    def of_model(
        cls,
        manifest: Manifest,
        items: list[str],
        model: bytes,
        *,
        engine: str = "cpu",
        threads: int = 1,
        max_batch: int = 64,
        now: Callable[[], float] = time.time,
    ) -> "EncoderScorer":
        """A scorer of ONNX bytes that are not (yet) an artefact on disk."""
        # Calls of one thread each, side by side, beat one call that all threads share: they wait
        # for each other at the end of a batch and not after every operator.
        session, provider = open_session(model, engine)
        check_signature(manifest, session)
        return cls(
            manifest,
            items,
            session,
            provider,
            max_batch=max_batch,
            loaded_at=now(),
            side_by_side=threads if provider == CPU else 1,
        )

    @property
    def computes_in_caller(self) -> bool:
        """Whether the thread that calls `run` does the work itself: no device, no other threads."""
        return self.provider == CPU and self._pool is None

    def item_index(self, item_id: str) -> int:
        """Encoder id of an item, 0 if the encoder does not know it."""
        return self._item_index.get(item_id, 0)

    def warm_up(self) -> None:
        """Run every shape once, so that the first real batch of it is not the slow one."""
        item = self.items[0]
        for length in self.buckets.lengths:
            history = History([item] * length, [""] * length, [0] * length, [0] * length)
            for batch in self.buckets.batches:
                self.run(self.prepare([history] * batch, np.ones((batch, 1), np.int64)))

    def prepare(
        self,
        histories: Sequence[History],
        candidates: IntArray,
        new_items: ItemVectors | None = None,
    ) -> PreparedBatch:
        """Features of the last `max_length` known events of each history, grouped and padded.

        candidates: (B, C) encoder ids, 0-padded; new_items: items that the encoder does not know,
        placed by their text, with the ids that follow the catalogue's. Events of items that the
        encoder does not know are left out. ValueError for a candidate outside the catalogue or a
        wrong shape.
        """
        candidates = np.ascontiguousarray(candidates, dtype=np.int64)
        if candidates.ndim != 2 or len(candidates) != len(histories):
            message = f"candidates of shape {candidates.shape} for {len(histories)} histories"
            raise ValueError(message)
        known_items = len(self.items)
        ids = known_items + (0 if new_items is None else len(new_items.biases))
        if not are_ids(candidates, ids):
            message = f"a candidate is not an encoder id in 0..{ids}"
            raise ValueError(message)
        if new_items is not None and self.manifest.text is None:
            message = f"artefact {self.name} {self.version} cannot score new items: it has no text"
            raise ValueError(message)
        candidate_ids = None
        if new_items is not None:
            candidate_ids = candidates
            candidates = np.where(candidates > known_items, 0, candidates)
        seen = self._windows.known(histories)
        calls = [
            (group, self._windows.inputs(group, histories, seen, candidates))
            for group in self.buckets.plan(
                seen.lengths, pad_batch=self._pad_batch, side_by_side=self._side_by_side
            )
        ]
        return PreparedBatch(
            len(histories),
            candidates.shape[1],
            calls,
            np.array(seen.lengths, dtype=np.bool_),
            len(seen.ids),
            seen.unknown,
            candidate_ids,
            new_items,
        )

    def run(self, prepared: PreparedBatch) -> Scores:
        """Scores of a prepared batch; the engine computes without the GIL."""
        new_items, candidate_ids = prepared.new_items, prepared.candidate_ids
        columns = self._run(prepared, with_states=new_items is not None)
        scores = Scores(*columns[:3])
        if new_items is None or candidate_ids is None:
            return scores
        log_probs = new_items.log_probs(*columns[3:])
        log_probs[~prepared.known] = -np.inf
        return with_new_items(scores, log_probs, candidate_ids, len(self.items))

    def states(self, histories: Sequence[History]) -> States:
        """What `ItemVectors.log_probs` takes; 0 for a history of unknown items only.

        Only of artefacts with item text.
        """
        candidates = np.zeros((len(histories), 0), np.int64)
        return States(*self._run(self.prepare(histories, candidates), with_states=True)[3:])

    def _run(self, prepared: PreparedBatch, *, with_states: bool) -> list[NDArray[Any]]:
        """The columns of `Scores` and, where they are asked for, those of `States`."""
        outputs = OUTPUTS + STATE_OUTPUTS if with_states else OUTPUTS
        results = self._results(outputs, [inputs for _, inputs in prepared.calls])
        if len(prepared.calls) == 1:  # of all rows, in their order
            (found,) = results
            columns = [
                column[: prepared.rows].astype(kind, copy=False)
                for column, kind in zip(found, _KINDS, strict=False)
            ]
            columns[2] = columns[2][:, : prepared.candidates]
        else:
            columns = self._empty(prepared, with_states=with_states)
            for (group, _), found in zip(prepared.calls, results, strict=True):
                rows = np.array(group.rows, np.int64)
                found[2] = found[2][:, : prepared.candidates]
                for into, column in zip(columns, found, strict=True):
                    into[rows] = column[: len(rows)]
        if not prepared.known.all():
            unknown = ~prepared.known
            for column, nothing in zip(columns[:3], _UNKNOWN, strict=True):
                column[unknown] = nothing
        return columns

    def _empty(self, prepared: PreparedBatch, *, with_states: bool) -> list[NDArray[Any]]:
        top_k = self.manifest.top_k
        shapes = [(top_k,), (top_k,), (prepared.candidates,), (self.manifest.dim,), ()]
        return [
            np.empty((prepared.rows, *shape), kind)
            for shape, kind in zip(shapes[: 5 if with_states else 3], _KINDS, strict=False)
        ]

    def _results(
        self, outputs: Sequence[str], calls: Sequence[dict[str, IntArray]]
    ) -> Iterable[list[Any]]:
        """What the engine gives for every call, in their order."""

        def result(inputs: dict[str, IntArray]) -> list[Any]:
            given: list[Any] = self._session.run(outputs, inputs, self._run_options)
            return given

        if self._pool is None or len(calls) == 1:
            return map(result, calls)
        return self._pool.map(result, calls)

    def score(self, histories: Sequence[History], candidates: IntArray) -> Scores:
        """`prepare` and `run` in one."""
        return self.run(self.prepare(histories, candidates))

    def _bounded(self, work: Callable[[], Result]) -> Result:
        """Do with an artefact what nobody knows yet that it can. ArtifactError where it cannot."""
        try:
            with stop_after(SMOKE_SECONDS) as self._run_options:
                return work()
        except Exception as error:  # ONNX Runtime raises a dozen unrelated classes
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            message = (
                f"artefact {self.name} {self.version} cannot make its recorded inference within "
                f"{SMOKE_SECONDS:g} s and {MEMORY_SHARE:.0%} of the memory: {reason}"
            )
            raise ArtifactError(message) from error
        finally:
            self._run_options = None

    def _check_smoke(self, smoke: Smoke) -> None:
        histories = [
            History(*columns)
            for columns in zip(
                smoke.items, smoke.event_types, smoke.times_ms, smoke.place_cells, strict=True
            )
        ]
        candidates = np.array(smoke.candidates, np.int64)
        scores = self._bounded(lambda: self.score(histories, candidates))
        expected = (smoke.top_log_probs, smoke.candidate_log_probs)
        for found, recorded in zip(scores[1:], expected, strict=True):
            wanted = np.array(recorded, np.float32)
            if found.shape != wanted.shape or not np.allclose(
                found, wanted, rtol=0, atol=smoke.tolerance
            ):
                message = (
                    f"artefact {self.name} {self.version} does not reproduce its recorded scores "
                    f"on {self.provider}: export it again for this engine"
                )
                raise ArtifactError(message)
        if self.text is not None:
            encode = self.text.encode
            places = self._bounded(lambda: encode(smoke.titles, [()] * len(smoke.titles)))
            found = np.column_stack(places)
            wanted = np.array(smoke.text_vectors, np.float32)
            lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
            if not ((found * wanted).sum(1) >= (1 - TEXT_TOLERANCE) * lengths).all():
                message = (
                    f"artefact {self.name} {self.version} does not place items where it is "
                    "recorded to place them by their text: export it again"
                )
                raise ArtifactError(message)


def _item_text(artifact: Artifact) -> ItemTextEncoder | None:
    """What places new items; None without item text, or where `tokenizers` is not installed."""
    manifest = artifact.manifest
    if artifact.text is None or manifest.text is None:
        return None
    try:
        return ItemTextEncoder(manifest.text, artifact.text, dim=manifest.dim)
    except ImportError:
        return None
    except ValueError as error:
        message = f"the item text of {artifact.path} cannot be used: {error}"
        raise ArtifactError(message) from error
