"""Settings of the demo's worker: quick on one machine, with the state that its artefact expects.

The blend's weights were fitted for windows of one size and transitions of one half-life. Where the
artefact says which, the worker has the same; where it does not, it keeps whole histories, so that
all items a user has seen are known, and the event types' own half-lives. No window is shorter than
the log that is shown: clicks older than that would be rejected.
"""

import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from streams.fitted_state import fitted_half_life_seconds, fitted_settings
from streams.ports import free_port

log = logging.getLogger(__name__)

PARTITIONS = 4
_WINDOW_SECONDS = 400 * 86_400
_WINDOW_EVENTS = 1_000  # more than any user of the data sets has


def worker_settings(
    *,
    bootstrap: str,
    embedded: bool,
    model_dir: Path | None,
    log_seconds: int,
    directory: Path,
    run_id: str,
) -> dict[str, Any]:
    """Settings by name.

    log_seconds: age of the log's first click when it is published. directory: for the state, and
    for the configuration file written here.
    """
    found: dict[str, Any] = {
        "bootstrap": bootstrap,
        "group": f"freshrec-demo-{run_id}",
        "topic_prefix": "" if embedded else f"demo-{run_id}-",
        "partitions": PARTITIONS,
        "store": "memory",
        "state_dir": directory / "state",
        "window_seconds": _WINDOW_SECONDS,
        "window_events": _WINDOW_EVENTS,
        "repeat_policy": "exclude",
        "metrics_port": free_port(),
        "lookup_token": secrets.token_urlsafe(6),
        "fetch_max_wait_seconds": 0.01 if embedded else 0.5,
        "session_timeout_seconds": 6.0,
        "heartbeat_seconds": 2.0,
    }
    if model_dir is not None:
        manifest = _manifest(model_dir)
        training = _mapping(manifest.get("training"))
        found |= fitted_settings(training)
        found["window_seconds"] = max(found["window_seconds"], log_seconds)
        found["model_dir"] = model_dir
        found["config"] = directory / "freshrec.toml"
        found["config"].write_text(
            _event_types(fitted_half_life_seconds(training), manifest.get("event_types") or ())
        )
    return found


def _event_types(half_life_seconds: float | None, names: Sequence[str]) -> str:
    """A configuration that lets transitions fade as slowly as they did where the blend was fitted.

    names: the event types that the artefact was trained on.
    """
    if half_life_seconds is None:
        log.info("the artefact names no half-life: those of the event types stay")
        return ""
    return "".join(
        f"[event_types.{json.dumps(name)}]\nhalf_life_seconds = {half_life_seconds}\n"
        for name in names
    )


def _manifest(model_dir: Path) -> Mapping[str, Any]:
    """What the artefact says of itself; where it cannot be read, the worker says so."""
    try:
        return _mapping(json.loads((model_dir / "manifest.json").read_bytes()))
    except (OSError, ValueError):
        return {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
