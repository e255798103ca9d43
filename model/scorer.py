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

from model.artifact import VARIANTS, Artifact, ArtifactError, Manifest, Smoke, load_artifact
from model.buckets import Buckets, Group
from model.cold_items import ItemTextEncoder, ItemVectors
from model.features import event_type_ids, window_inputs

__all__ = [
    "EncoderScorer",
    "EngineError",
    "History",
    "ItemVectors",
    "PreparedBatch",
    "Scores",
    "States",
]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]

ENGINES = ("auto", "cpu", "cuda")
OUTPUTS = ("top_ids", "top_log_probs", "candidate_log_probs")
# Of artefacts with item text, beside the others: what scores an item that is not in the graph.
STATE_OUTPUTS = ("hidden", "log_normalizer")
# Largest cosine distance of an item's place from the recorded one: int8 products round in other
# ways on other processors.
TEXT_TOLERANCE = 0.02
MAX_NEW_ITEMS = 50  # of a history's best that `Scores` names
VARIANT_KEY = "freshrec.variant"  # of the graph's metadata
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
    """Log-probabilities over the artefact's whole catalogue, one row per history.

    With new items, whose ids follow the encoder's, k is larger: up to MAX_NEW_ITEMS of them stand
    behind the encoder's own best. One that is below all of those has no log-probability
    (-inf): as of an item that the encoder knows nothing of, no more is said than that.
    """

    top_ids: IntArray  # (B, k) encoder ids, the encoder's own best first; 0 = none
    top_log_probs: FloatArray  # (B, k); -inf where the id is 0
    candidate_log_probs: FloatArray  # (B, C); -inf where the candidate is 0


class States(NamedTuple):
    """Where histories stand in the item space: what scores items outside the graph."""

    hidden: FloatArray  # (B, dim)
    log_normalizers: FloatArray  # (B,)


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
    candidate_ids: IntArray | None = None  # (B, C), where there are new items
    new_items: ItemVectors | None = None

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
        text: ItemTextEncoder | None = None,
    ) -> None:
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
        if candidates.size and not 0 <= candidates.min() <= candidates.max() <= ids:
            message = f"a candidate is not an encoder id in 0..{ids}"
            raise ValueError(message)
        if new_items is not None and self.manifest.text is None:
            message = f"artefact {self.name} {self.version} cannot score new items: it has no text"
            raise ValueError(message)
        candidate_ids = None
        if new_items is not None:
            candidate_ids = candidates
            candidates = np.where(candidates > known_items, 0, candidates)
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
            candidate_ids,
            new_items,
        )

    def run(self, prepared: PreparedBatch) -> Scores:
        """Scores of a prepared batch; the engine computes without the GIL."""
        new_items, candidate_ids = prepared.new_items, prepared.candidate_ids
        scores, states = self._run(prepared, with_states=new_items is not None)
        if new_items is None or candidate_ids is None:
            return scores
        log_probs = new_items.log_probs(*states)
        log_probs[~prepared.known] = -np.inf
        return with_new_items(scores, log_probs, candidate_ids, len(self.items))

    def states(self, histories: Sequence[History]) -> States:
        """What `ItemVectors.log_probs` takes; 0 for a history of unknown items only.

        Only of artefacts with item text.
        """
        candidates = np.zeros((len(histories), 0), np.int64)
        return self._run(self.prepare(histories, candidates), with_states=True)[1]

    def _run(self, prepared: PreparedBatch, *, with_states: bool) -> tuple[Scores, States]:
        top_k = self.manifest.top_k
        top_ids = np.zeros((prepared.rows, top_k), np.int64)
        top_log_probs = np.full((prepared.rows, top_k), -np.inf, np.float32)
        candidate_log_probs = np.full((prepared.rows, prepared.candidates), -np.inf, np.float32)
        rows_of_states = prepared.rows if with_states else 0
        hidden = np.zeros((rows_of_states, self.manifest.dim), np.float32)
        log_normalizers = np.zeros(rows_of_states, np.float32)
        outputs = OUTPUTS + STATE_OUTPUTS if with_states else OUTPUTS
        for group, inputs in prepared.calls:
            ids, log_probs, of_candidates, *state = self._session.run(outputs, inputs)
            rows, size = group.rows, len(group.rows)
            if with_states:
                hidden[rows], log_normalizers[rows] = state[0][:size], state[1][:size]
            top_ids[rows] = ids[:size]
            top_log_probs[rows] = log_probs[:size]
            if prepared.candidates:
                candidate_log_probs[rows] = of_candidates[:size]
        unknown = ~prepared.known
        if unknown.any():
            top_ids[unknown] = 0
            top_log_probs[unknown] = -np.inf
            candidate_log_probs[unknown] = -np.inf
        scores = Scores(top_ids, top_log_probs, candidate_log_probs)
        return scores, States(hidden, log_normalizers)

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
        if self.text is not None:
            places = self.text.encode(smoke.titles, [()] * len(smoke.titles))
            found = np.column_stack(places)
            wanted = np.array(smoke.text_vectors, np.float32)
            lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
            if not ((found * wanted).sum(1) >= (1 - TEXT_TOLERANCE) * lengths).all():
                message = (
                    f"artefact {self.name} {self.version} does not place items where it is "
                    "recorded to place them by their text: export it again"
                )
                raise ArtifactError(message)


def with_new_items(
    scores: Scores, log_probs: FloatArray, candidate_ids: IntArray, known_items: int
) -> Scores:
    """Scores with those of new items: log_probs (B, m), ids `known_items + 1` onwards."""
    size, m = log_probs.shape
    if not size or not m:
        return scores
    finite = np.isfinite(scores.top_log_probs)
    lowest = np.where(finite, scores.top_log_probs, np.inf).min(1, initial=np.inf, keepdims=True)
    reach = log_probs >= lowest
    k = min(m, MAX_NEW_ITEMS)
    # As a rule few reach it, and those few are sorted; where many do, the best are searched first.
    if np.count_nonzero(reach) > 2 * k * size:
        reach &= log_probs >= np.partition(log_probs, m - k, axis=1)[:, m - k : m - k + 1]
    rows, places = np.nonzero(reach)
    order = np.lexsort((places, -log_probs[rows, places], rows))
    rows, places = rows[order], places[order]
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    best = rank < k
    rows, places, rank = rows[best], places[best], rank[best]
    best_ids = np.zeros((size, int(rank.max(initial=-1)) + 1), np.int64)
    best_log_probs = np.full(best_ids.shape, -np.inf, np.float32)
    best_ids[rows, rank] = places + known_items + 1
    best_log_probs[rows, rank] = log_probs[rows, places]
    candidate_log_probs = scores.candidate_log_probs
    if candidate_ids.shape[1]:
        is_new = candidate_ids > known_items
        places = np.where(is_new, candidate_ids - known_items - 1, 0)
        of_new = np.take_along_axis(log_probs, places, 1)
        of_new = np.where(of_new >= lowest, of_new, -np.inf)
        candidate_log_probs = np.where(is_new, of_new, candidate_log_probs).astype(np.float32)
    return Scores(
        np.concatenate([scores.top_ids, best_ids], 1),
        np.concatenate([scores.top_log_probs, best_log_probs], 1),
        candidate_log_probs,
    )


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
    # On a CPU the fused norm is slower than its parts: 5,000 against 5,700 windows/s (d = 64).
    disabled = ["SkipLayerNormFusion"] if providers == [_CPU] else []
    try:
        session = ort.InferenceSession(
            model, options, providers=providers, disabled_optimizers=disabled
        )
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


def _check_signature(manifest: Manifest, session: Any) -> None:
    """The graph must be of the variant, and take and give, what the manifest says."""
    # A graph in fp32 names no variant; the others do, in what the manifest's sha256 covers.
    variant = session.get_modelmeta().custom_metadata_map.get(VARIANT_KEY, VARIANTS[0])
    if variant != manifest.variant:
        message = (
            f"the model is of the variant {variant}, but its manifest says {manifest.variant}: "
            "export it again"
        )
        raise ArtifactError(message)
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
    stated = OUTPUTS if manifest.text is None else OUTPUTS + STATE_OUTPUTS
    if outputs != list(stated):
        message = f"the model gives {outputs}, not {list(OUTPUTS)}"
        raise ArtifactError(message)
