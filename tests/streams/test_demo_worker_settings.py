"""The demo's worker has the state that its artefact was fitted for, and can read all of the log."""

import io
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from streams.demo.plan import DemoClick, DemoPlan
from streams.demo.stage import Moment
from streams.demo.worker_settings import worker_settings
from streams.demo_view import LiveView
from streams.fitted_state import differences
from streams.setting_sources import load_settings
from streams.settings import Settings

DAY_SECONDS = 86_400
FITTED = {
    "predecessors": 3,
    "max_neighbours": 50,
    "popularity_half_life_seconds": 86_400.0,
    "trending_half_life_seconds": 7_200.0,
    "graph_half_life_seconds": 864_000.0,
    "window_events": 2_000,
    "window_seconds": 3_650 * DAY_SECONDS,
    "by_arrival": True,
}


def demo_worker(
    directory: Path, manifest: dict[str, Any] | None, log_seconds: int = 40 * DAY_SECONDS
) -> Settings:
    """Settings as the worker reads them, of an artefact with that manifest."""
    model_dir = directory / "artefact"
    model_dir.mkdir()
    if manifest is not None:
        (model_dir / "manifest.json").write_text(json.dumps(manifest))
    flags = worker_settings(
        bootstrap="127.0.0.1:9092",
        embedded=True,
        model_dir=model_dir,
        log_seconds=log_seconds,
        directory=directory,
        run_id="1",
    )
    environment = {f"FRESHREC_{name.upper()}": str(value) for name, value in flags.items()}
    return load_settings({}, environment, flags["config"])


def test_the_console_can_look_things_up_with_a_token_of_this_demo_alone(tmp_path: Path) -> None:
    tokens = set()
    for number in "12":
        directory = tmp_path / number
        directory.mkdir()
        tokens.add(demo_worker(directory, None).lookup_token)
    assert len(tokens - {None}) == 2
    shown = io.StringIO()
    with LiveView(Console(file=shown), {}) as view:
        view(a_moment("http://127.0.0.1:1", "t0ken"))
    assert "in a browser: http://127.0.0.1:1/ (look-up token: t0ken)" in shown.getvalue()


def a_moment(console_url: str, lookup_token: str) -> Moment:
    """The first moment of a demo: nothing has happened."""
    next_click = dict.fromkeys(("hit_rate_at_10", "popularity_hit_rate_at_10"), 0.0)
    latency = {"p50": 0.0, "p99": 0.0}
    return Moment(
        0.0, 0, 1, 0, 0.0, 0.0, latency, next_click, {}, None, (), console_url, lookup_token
    )


def test_window_and_decay_are_those_that_the_blend_was_fitted_for(tmp_path: Path) -> None:
    used = ["click", "add to cart"]
    training = {"priors": FITTED}
    settings = demo_worker(tmp_path, {"event_types": used, "training": training})
    assert differences(settings, settings.event_type_registry(), used, training) == []
    assert settings.window_events == 2_000
    assert settings.event_type_registry().half_life_ms("add to cart") == 864_000_000.0


def test_an_artefact_that_names_no_window_leaves_the_demos_own(tmp_path: Path) -> None:
    priors = {"graph_half_life_seconds": 864_000.0, "popularity_half_life_seconds": 86_400.0}
    settings = demo_worker(tmp_path, {"event_types": ["click"], "training": {"priors": priors}})
    assert (settings.window_events, settings.window_seconds) == (1_000, 400 * DAY_SECONDS)
    assert settings.event_type_registry().half_life_ms("click") == 864_000_000.0


def test_without_a_readable_manifest_the_defaults_stay(tmp_path: Path) -> None:
    settings = demo_worker(tmp_path, None)
    assert (settings.window_events, settings.window_seconds) == (1_000, 400 * DAY_SECONDS)
    assert settings.event_types == ()


def test_no_window_is_shorter_than_the_log(tmp_path: Path) -> None:
    training = {"priors": {**FITTED, "window_seconds": 30 * DAY_SECONDS}}
    manifest = {"event_types": ["click"], "training": training}
    settings = demo_worker(tmp_path, manifest, log_seconds=47 * DAY_SECONDS)
    assert settings.window_seconds == 47 * DAY_SECONDS


def test_a_logs_age_counts_from_its_first_click_to_a_week_after_its_last() -> None:
    clicks = [DemoClick("u", "a", day * DAY_SECONDS * 1000, "click") for day in (100, 120, 140)]
    show = DemoPlan(clicks, [], seconds=60.0, bootstrap=None, model_dir=None)
    assert show.log_seconds == 47 * DAY_SECONDS + 60
