"""Model watch: whatever a model directory holds, the worker goes on."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from model.artifact import ArtifactError
from streams.engine import ModelWatch
from streams.metrics import Metrics
from tests.streams.shell_fakes import make_settings


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ArtifactError("items.json is missing"), "items.json is missing"),
        (RuntimeError("bad graph"), "it cannot be loaded: RuntimeError('bad graph')"),
        (MemoryError(), "it cannot be loaded: MemoryError()"),
    ],
)
async def test_a_model_that_cannot_be_loaded_is_refused_and_the_old_one_stays(
    error: Exception, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    serving = SimpleNamespace(version="7")
    batcher: Any = SimpleNamespace(scorer=serving)
    metrics = Metrics()
    watch = ModelWatch(make_settings(model_dir=tmp_path), batcher, metrics, lambda _: None)

    def fail(_: Path) -> Any:
        raise error

    monkeypatch.setattr(watch, "_load", fail)
    await watch.load()
    assert batcher.scorer is serving
    assert watch.refusal == words
    assert (
        metrics.registry.get_sample_value("freshrec_model_reloads_total", {"outcome": "refused"})
        == 1
    )
    assert metrics.registry.get_sample_value("freshrec_model_refused") == 1
    (record,) = caplog.records
    assert record.getMessage() == f"model refused: {words}; model 7 stays"


@pytest.mark.parametrize(
    ("engine", "devices", "provider", "fallback"),
    [
        ("cpu", 1, "CPUExecutionProvider", 0),
        ("auto", 0, "CPUExecutionProvider", 0),
        ("auto", 1, "CPUExecutionProvider", 1),
        ("auto", 1, "CUDAExecutionProvider", 0),
        ("cuda", 0, None, 1),
    ],
)
async def test_a_gpu_that_no_encoder_runs_on_shows(
    engine: str, devices: int, provider: str | None, fallback: int, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("model.scorer.cuda_devices", lambda: devices)
    metrics = Metrics()
    settings = make_settings(model_dir=tmp_path, engine=engine)
    watch = ModelWatch(settings, SimpleNamespace(scorer=None), metrics, lambda _: None)  # type: ignore[arg-type]

    def load(_: Path) -> Any:
        if provider is None:
            raise ArtifactError("engine cuda finds no CUDA device")
        buckets = SimpleNamespace(lengths=[8])
        return SimpleNamespace(provider=provider, name="bert", version="1", buckets=buckets)

    monkeypatch.setattr(watch, "_load", load)
    await watch.load()
    assert metrics.registry.get_sample_value("freshrec_gpu_fallback") == fallback
    assert metrics.registry.get_sample_value("freshrec_model_refused") == (provider is None)
