"""The model that serves: loaded at start, watched for a new version, swapped between batches."""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from streams.batcher import Batcher
from streams.metrics import DEFAULT_VARIANT, Metrics
from streams.settings import Settings

if TYPE_CHECKING:
    from model.scorer import EncoderScorer

log = logging.getLogger(__name__)

_WATCH_SECONDS = 2.0
MANIFEST = "manifest.json"


class ModelWatch:
    """Keeps `batcher.scorer` at the newest good artefact of `settings.model_dir`.

    A directory that is missing, damaged or does not fit is refused with one sentence in the log
    and a metric; the model that serves, if any, stays.
    """

    def __init__(
        self,
        settings: Settings,
        batcher: Batcher,
        metrics: Metrics,
        on_model: Callable[["EncoderScorer"], None],
    ) -> None:
        self._settings = settings
        self._batcher = batcher
        self._metrics = metrics
        self._on_model = on_model
        self._seen: tuple[int, int] | None = None
        self.refusal: str | None = None
        """Why the newest artefact was refused."""

    async def load(self) -> None:
        """Load once, before the first list is made."""
        directory = self._settings.model_dir
        if not self._settings.encoder:
            log.info("the encoder is switched off: lists come from the graph")
            return
        if directory is None:
            self.refusal = "no --model given"
            log.warning("no --model given: lists come from the graph")
            return
        self._seen = _fingerprint(directory)
        await self._try(directory)

    async def run(self) -> None:
        """Watch the directory until cancelled."""
        directory = self._settings.model_dir
        if directory is None or not self._settings.encoder:
            return
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            seen = _fingerprint(directory)
            if seen is not None and seen != self._seen:
                self._seen = seen
                await self._try(directory)

    async def _try(self, directory: Path) -> None:
        from model.artifact import ArtifactError

        try:
            scorer = await asyncio.to_thread(self._load, directory)
        except Exception as error:  # noqa: BLE001  (no fault of a model may end the worker)
            self.refusal = str(error)
            if not isinstance(error, ArtifactError):
                self.refusal = f"it cannot be loaded: {error!r}"
            self._metrics.model_reloads_total.labels("refused").inc()
            self._metrics.model_refused.set(1)
            if self._batcher.scorer is None:
                self._metrics.gpu_fallback.set(self._meant_for_gpu())
            serving = self._batcher.scorer
            stays = f"model {serving.version} stays" if serving else "lists come from the graph"
            log.error("model refused: %s; %s", self.refusal, stays)
            return
        self.refusal = None
        self._metrics.engine_ready(scorer.provider, map(str, scorer.buckets.lengths))
        self._on_model(scorer)
        self._batcher.scorer = scorer
        self._metrics.model_reloads_total.labels("loaded").inc()
        self._metrics.model_refused.set(0)
        on_cpu = scorer.provider.startswith("CPU")
        self._metrics.gpu_fallback.set(on_cpu and self._meant_for_gpu())
        self._metrics.model_loaded(
            scorer.name, scorer.version, DEFAULT_VARIANT, scorer.provider, time.time()
        )
        log.info("model %s %s serves on %s", scorer.name, scorer.version, scorer.provider)

    def _meant_for_gpu(self) -> bool:
        from model.scorer import cuda_devices

        engine = self._settings.engine
        return engine == "cuda" or (engine == "auto" and cuda_devices() > 0)

    def _load(self, directory: Path) -> "EncoderScorer":
        from model.scorer import EncoderScorer

        settings = self._settings
        scorer = EncoderScorer.load(
            directory,
            engine=settings.engine,
            threads=settings.inference_threads,
            max_batch=settings.batch_max_users,
        )
        scorer.warm_up()
        return scorer


def _fingerprint(directory: Path) -> tuple[int, int] | None:
    """What changes when an artefact is replaced: its manifest is written last."""
    try:
        status = (directory / MANIFEST).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
