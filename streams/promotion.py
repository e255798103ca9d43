"""Which artefact of a directory serves: promotion and rollback by one atomic link.

A models directory holds one artefact directory for each version, a link `current` to the one that
serves, and `promotions.jsonl`, the history. A worker started with `--model DIR/current` loads a
promoted artefact by itself.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from model.artifact import ArtifactError, Manifest, load_artifact

CURRENT = "current"
HISTORY = "promotions.jsonl"
_MANIFEST = "manifest.json"


class PromotionError(ValueError):
    """A promotion that cannot be done; the message says why."""


class Promotion(msgspec.Struct, frozen=True):
    """One line of the history."""

    version: str  # name of the artefact's directory
    promoted_at: str  # ISO-8601, UTC
    action: str = "promote"  # or rollback


class ListedModel(msgspec.Struct, frozen=True):
    """One artefact of a models directory; `fault` is set where its manifest cannot be read."""

    version: str
    name: str
    created: str
    items: int
    metrics: dict[str, object]
    current: bool
    fault: str | None = None


def list_models(directory: Path) -> list[ListedModel]:
    """The artefacts of a models directory, oldest first. Raises `PromotionError`."""
    _check(directory)
    serving = current(directory)
    found = []
    for path in sorted(directory.iterdir()):
        if path.is_symlink() or not (path / _MANIFEST).is_file():
            continue
        here = path.name == serving
        try:
            manifest = msgspec.json.decode((path / _MANIFEST).read_bytes(), type=Manifest)
        except (OSError, msgspec.DecodeError) as error:
            found.append(ListedModel(path.name, "", "", 0, {}, here, f"{error}"))
            continue
        found.append(
            ListedModel(
                path.name, manifest.name, manifest.created, manifest.items, manifest.metrics, here
            )
        )
    return sorted(found, key=lambda model: (model.created, model.version))


def current(directory: Path) -> str | None:
    """The version that serves; None: none was promoted."""
    link = directory / CURRENT
    return link.readlink().name if link.is_symlink() else None


def promote(directory: Path, version: str, now: str, action: str = "promote") -> Promotion:
    """Let a version serve, once every check of the artefact has passed. `now` is ISO-8601.

    Raises `PromotionError`; what served before then still does.
    """
    _check(directory)
    path = directory / version
    if Path(version).name != version or version in ("", ".", "..", CURRENT):
        raise PromotionError(f"{version!r} is not the name of a directory in {directory}.")
    try:
        load_artifact(path)
    except ArtifactError as error:
        raise PromotionError(f"{version} is not promoted: {error}.") from error
    link = directory / CURRENT
    if link.exists() and not link.is_symlink():
        raise PromotionError(f"{link} is not a link: move it away, then promote again.")
    done = Promotion(version, now, action)
    fresh = directory / f".{CURRENT}.{os.getpid()}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(version, target_is_directory=True)
    fresh.replace(link)  # atomic: a worker sees the old artefact or the new one
    with (directory / HISTORY).open("ab") as file:
        file.write(msgspec.json.encode(done) + b"\n")
    return done


def rollback(directory: Path, now: str) -> Promotion:
    """Go back to the version that served before this one. Raises `PromotionError`."""
    _check(directory)
    trail: list[str] = []
    for entry in _history(directory):
        if entry.action == "promote":
            trail.append(entry.version)
        else:
            del trail[-1:]
    earlier = [version for version in trail[:-1] if version != current(directory)]
    if not earlier:
        raise PromotionError(f"No version was promoted in {directory} before the current one.")
    return promote(directory, earlier[-1], now, "rollback")


def _history(directory: Path) -> list[Promotion]:
    path = directory / HISTORY
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines()
    try:
        return [msgspec.json.decode(line, type=Promotion) for line in lines if line.strip()]
    except msgspec.DecodeError as error:
        raise PromotionError(
            f"{path} is damaged ({error}): promote a version by name instead."
        ) from error


def _check(directory: Path) -> None:
    if not directory.is_dir():
        raise PromotionError(f"There is no models directory {directory}.")
