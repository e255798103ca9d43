"""Histories to scores with ONNX Runtime: what a worker runs.

A user's scores depend on that user's history and candidates alone: rows of a batch never mix, and
padding is masked. Different batch or padded shapes may take different code paths in the engine's
matrix products, so equality is within 1e-5 of a log-probability, not bitwise.
"""

import ctypes
import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from model.artifact import ArtifactError, Manifest, Smoke, load_artifact
from model.buckets import Buckets, Group
from model.features import event_type_ids, window_inputs

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]

ENGINES = ("auto", "cpu", "cuda")
OUTPUTS = ("top_ids", "top_log_probs", "candidate_log_probs")
_CPU = "CPUExecutionProvider"
_CUDA = "CUDAExecutionProvider"


class EngineError(ArtifactError):
    """The engine asked for cannot run here."""


class History(NamedTuple):
    """A user's events sorted by event time, oldest first; the four have one length."""

    items: Sequence[str]
    event_types: Sequence[str]
    times_ms: Sequence[int]
    place_cells: Sequence[int]  # 0: no place


class Scores(NamedTuple):
    """Log-probabilities over the artefact's whole catalogue, one row per history."""

    top_ids: IntArray  # (B, k) encoder ids, best first; 0 = none
    top_log_probs: FloatArray  # (B, k); -inf where the id is 0
    candidate_log_probs: FloatArray  # (B, C); -inf where the candidate is 0


class _Window(NamedTuple):
    """The events of a history that the encoder sees."""

    ids: list[int]  # encoder ids, none 0
    event_types: Sequence[str]
    times_ms: Sequence[int]
    place_cells: Sequence[int]
    unknown: int


class PreparedBatch(NamedTuple):
    """Inputs of the engine, grouped and padded; made by `EncoderScorer.prepare`."""

    rows: int
    candidates: int
    calls: list[tuple[Group, dict[str, IntArray]]]
    known: NDArray[np.bool_]  # (B,) False: no event of the history is in the catalogue
    events: int  # that the engine sees
    unknown_events: int  # left out, since their item is not in the catalogue

    @property
    def padded_events(self) -> int:
        """What the engine computes, in events with their padding."""
        return sum(group.batch * group.length for group, _ in self.calls)

    @property
    def padding_ratio(self) -> float:
        """Share of what the engine computes that is padding."""
        padded = self.padded_events
        return 1.0 - self.events / padded if padded else 0.0

    @property
    def longest(self) -> int:
        """Events that the longest windows of the batch are padded to."""
        return max((group.length for group, _ in self.calls), default=0)


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
    ) -> None:
        self.manifest = manifest
        self.name = manifest.name
        self.version = manifest.version
        self.items = items
        self.provider = provider
        self.max_batch = max_batch
        self.loaded_at = loaded_at  # seconds since the epoch
        self.buckets = Buckets.up_to(manifest.max_length, max_batch)
        self._spec = manifest.feature_spec()
        self._item_index = {item: index + 1 for index, item in enumerate(items)}
        self._type_ids = event_type_ids(self._spec.event_types)
        self._session = session
        # A GPU replays one plan per shape; on a CPU padded rows would only be wasted work.
        self._pad_batch = provider != _CPU

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
        back. threads: of the engine, for one call. ArtifactError (or EngineError) on any fault.
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
        session, provider = _session(model, engine, threads)
        _check_signature(manifest, session)
        return cls(manifest, items, session, provider, max_batch=max_batch, loaded_at=now())

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

    def prepare(self, histories: Sequence[History], candidates: IntArray) -> PreparedBatch:
        """Features of the last `max_length` known events of each history, grouped and padded.

        candidates: (B, C) encoder ids, 0-padded. Events of items that the encoder does not know
        are left out. ValueError for a candidate outside the catalogue or a wrong shape.
        """
        candidates = np.ascontiguousarray(candidates, dtype=np.int64)
        if candidates.ndim != 2 or len(candidates) != len(histories):
            message = f"candidates of shape {candidates.shape} for {len(histories)} histories"
            raise ValueError(message)
        if candidates.size and not 0 <= candidates.min() <= candidates.max() <= len(self.items):
            message = f"a candidate is not an encoder id in 0..{len(self.items)}"
            raise ValueError(message)
        windows = [self._window(history) for history in histories]
        lengths = [len(window.ids) for window in windows]
        known = np.array(lengths, dtype=np.int64) > 0
        calls = [
            (group, self._inputs(group, windows, candidates))
            for group in self.buckets.plan(lengths, pad_batch=self._pad_batch)
        ]
        return PreparedBatch(
            len(histories),
            candidates.shape[1],
            calls,
            known,
            sum(lengths),
            sum(window.unknown for window in windows),
        )

    def run(self, prepared: PreparedBatch) -> Scores:
        """Scores of a prepared batch; the engine computes without the GIL."""
        top_k = self.manifest.top_k
        top_ids = np.zeros((prepared.rows, top_k), np.int64)
        top_log_probs = np.full((prepared.rows, top_k), -np.inf, np.float32)
        candidate_log_probs = np.full((prepared.rows, prepared.candidates), -np.inf, np.float32)
        for group, inputs in prepared.calls:
            ids, log_probs, of_candidates = self._session.run(OUTPUTS, inputs)
            rows, size = group.rows, len(group.rows)
            top_ids[rows] = ids[:size]
            top_log_probs[rows] = log_probs[:size]
            if prepared.candidates:
                candidate_log_probs[rows] = of_candidates[:size]
        unknown = ~prepared.known
        if unknown.any():
            top_ids[unknown] = 0
            top_log_probs[unknown] = -np.inf
            candidate_log_probs[unknown] = -np.inf
        return Scores(top_ids, top_log_probs, candidate_log_probs)

    def score(self, histories: Sequence[History], candidates: IntArray) -> Scores:
        """`prepare` and `run` in one."""
        return self.run(self.prepare(histories, candidates))

    def _window(self, history: History) -> _Window:
        """The events of a history that the encoder sees."""
        index = self._item_index
        ids = [index.get(item, 0) for item in history.items]
        columns: tuple[Sequence[Any], ...] = history[1:]
        unknown = ids.count(0)
        if unknown:
            kept = [position for position, item in enumerate(ids) if item]
            ids = [ids[position] for position in kept]
            columns = tuple([column[position] for position in kept] for column in columns)
        if len(ids) > self._spec.max_length:
            ids = ids[-self._spec.max_length :]
            columns = tuple(column[-self._spec.max_length :] for column in columns)
        event_types, times_ms, place_cells = columns
        return _Window(ids, event_types, times_ms, place_cells, unknown)

    def _inputs(
        self, group: Group, windows: Sequence[_Window], candidates: IntArray
    ) -> dict[str, IntArray]:
        chosen = [windows[row] for row in group.rows]
        lengths = np.zeros(group.batch, np.int64)
        lengths[: len(chosen)] = [len(window.ids) for window in chosen]
        events = int(lengths.sum())
        features = self._spec.features

        def flat(values: Any, *, used: bool = True) -> IntArray:
            if not used:
                return np.zeros(events, np.int64)
            return np.fromiter(chain.from_iterable(values), np.int64, events)

        type_id = self._type_ids.get
        inputs = window_inputs(
            self._spec,
            lengths,
            flat(window.ids for window in chosen),
            flat(
                ([type_id(name, 1) for name in window.event_types] for window in chosen),
                used="event_type" in features,
            ),
            flat(
                (window.times_ms for window in chosen),
                used="time_gap" in features or "hour_of_week" in features,
            ),
            flat((window.place_cells for window in chosen), used="place" in features),
            group.length,
        )
        # An empty row still needs one position to attend to; its scores are thrown away.
        inputs["lengths"] = np.maximum(lengths, 1)
        width = max(candidates.shape[1], 1)
        padded = np.zeros((group.batch, width), np.int64)
        padded[: len(chosen), : candidates.shape[1]] = candidates[group.rows]
        inputs["candidates"] = padded
        return inputs

    def _check_smoke(self, smoke: Smoke) -> None:
        histories = [
            History(*columns)
            for columns in zip(
                smoke.items, smoke.event_types, smoke.times_ms, smoke.place_cells, strict=True
            )
        ]
        scores = self.score(histories, np.array(smoke.candidates, np.int64))
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


def cuda_devices() -> int:
    """Number of CUDA devices that the driver shows this process; 0 without a driver."""
    for library in ("libcuda.so.1", "nvcuda.dll"):
        try:
            driver = ctypes.CDLL(library)
        except OSError:
            continue
        count = ctypes.c_int(0)
        if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0:
            return count.value
    return 0


def choose_providers(engine: str, devices: int, available: Sequence[str]) -> list[str]:
    """Execution providers to ask for. EngineError where `cuda` is asked for and not there."""
    if engine not in ENGINES:
        message = f"engine {engine!r} is none of {', '.join(ENGINES)}"
        raise EngineError(message)
    if engine == "cpu" or (engine == "auto" and (devices == 0 or _CUDA not in available)):
        return [_CPU]
    if _CUDA not in available:
        message = "engine cuda needs the onnxruntime-gpu package: install it, or use engine cpu"
        raise EngineError(message)
    if devices == 0:
        message = "engine cuda finds no CUDA device: check nvidia-smi, or use engine cpu"
        raise EngineError(message)
    return [_CUDA, _CPU]


def _session(model: bytes, engine: str, threads: int) -> tuple[Any, str]:
    providers = choose_providers(engine, cuda_devices(), ort.get_available_providers())
    if _CUDA in providers and hasattr(ort, "preload_dlls"):
        ort.preload_dlls()  # CUDA and cuDNN from their Python packages, where those are installed
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Spinning between two batches would burn a core that the event loop needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(model, options, providers=providers)
    except Exception as error:  # ONNX Runtime raises a dozen unrelated classes
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        message = f"ONNX Runtime cannot load the model: {reason}"
        raise ArtifactError(message) from error
    provider = session.get_providers()[0]
    if provider != providers[0]:
        message = (
            f"engine {engine} was to run on {providers[0]} but ONNX Runtime fell back to "
            f"{provider}: install the matching CUDA and cuDNN libraries, or use engine cpu"
        )
        raise EngineError(message)
    return session, provider


def _check_signature(manifest: Manifest, session: Any) -> None:
    """The graph must take and give what the manifest says."""
    wanted = set(manifest.feature_spec().input_names())
    found = {node.name for node in session.get_inputs()}
    if wanted != found:
        message = (
            f"the model takes the inputs {sorted(found)}, but its manifest's features need "
            f"{sorted(wanted)}"
        )
        raise ArtifactError(message)
    for node in session.get_inputs():
        if node.type != "tensor(int64)" or any(isinstance(size, int) for size in node.shape):
            message = f"input {node.name} of the model is not an int64 of free shape"
            raise ArtifactError(message)
    outputs = [node.name for node in session.get_outputs()]
    if outputs != list(OUTPUTS):
        message = f"the model gives {outputs}, not {list(OUTPUTS)}"
        raise ArtifactError(message)
