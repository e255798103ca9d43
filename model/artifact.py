"""The model artefact: a directory that a worker loads only if every check passes.

    model.onnx      the encoder, weights inside
    items.json      item ids; encoder id i + 1 is the i-th (0 is padding or unknown)
    smoke.json      recorded histories and the scores they must give
    manifest.json   all else, with the sha256 of the others
    curves.png      how the training went, for people; older artefacts have none

An artefact that was trained with item text also has the files of `model.item_text`. Nothing of the
picture is served and `version` does not depend on it, but where the manifest names it, it is
checked like the rest.

Files are read once and hashed as read, so that what was checked is what is used.
"""

import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import msgspec

from model.blend import Blend
from model.features import FEATURE_INPUTS, FeatureSpec
from model.item_text import (
    MAX_TEXT_FILE_BYTES,
    TEXT_FILES,
    TextFiles,
    TextSpec,
    read_projection,
)

FORMAT = 1
OPSETS = range(18, 25)
# The artefact that comes with the package: item ids of MovieLens-100k, no titles and no ratings.
DEMO_ARTIFACT = Path(__file__).parent / "demo_artifact"
MODEL_FILE = "model.onnx"
ITEMS_FILE = "items.json"
SMOKE_FILE = "smoke.json"
MANIFEST_FILE = "manifest.json"
CURVES_FILE = "curves.png"
CONTENT_FILES = (MODEL_FILE, ITEMS_FILE, SMOKE_FILE)
VARIANTS = ("fp32", "fp16", "int8-weights", "int8-dynamic", "int8-static")
REPEAT_POLICIES = ("allow", "discount", "exclude")

MAX_FILE_BYTES = {
    MANIFEST_FILE: 1 << 20,
    SMOKE_FILE: 16 << 20,
    ITEMS_FILE: 1 << 30,
    CURVES_FILE: 4 << 20,
    MODEL_FILE: (1 << 31) - 1,  # a protobuf message cannot be larger
    **MAX_TEXT_FILE_BYTES,
}
MAX_WINDOW_EVENTS = 4096
MAX_ITEM_ID_BYTES = 256

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ArtifactError(ValueError):
    """The artefact cannot be used; the message is one sentence that says why."""


class Smoke(msgspec.Struct, frozen=True, kw_only=True):
    """Histories and candidates with the scores recorded when the artefact was written."""

    items: list[list[str]]
    event_types: list[list[str]]
    times_ms: list[list[int]]
    place_cells: list[list[int]]
    candidates: list[list[int]]  # encoder ids
    top_ids: list[list[int]]
    top_log_probs: list[list[float]]
    candidate_log_probs: list[list[float]]
    tolerance: float = 1e-3
    # Item titles and the embedding, with the bias as last number, that their text must give.
    titles: list[str] = []
    text_vectors: list[list[float]] = []


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an artefact is, how it was made and how good it was."""

    format: int
    name: str
    version: str
    created: str  # ISO 8601, UTC
    features: list[str]
    event_types: list[str]
    place_buckets: int
    max_length: int  # events
    top_k: int
    dim: int
    layers: int
    heads: int
    items: int
    opset: int
    blend: Blend
    repeat_policy: str
    files: dict[str, str]  # file name -> sha256
    training: dict[str, object]
    metrics: dict[str, object]
    versions: dict[str, str]
    text: TextSpec | None = None  # None: the artefact knows nothing of item text
    variant: str = "fp32"  # how the weights are stored and multiplied, one of VARIANTS
    source_version: str = ""  # of the artefact in fp32 that this one was made smaller from

    def content_files(self) -> tuple[str, ...]:
        """Names of the files that the artefact must have beside its manifest."""
        text = () if self.text is None else TEXT_FILES
        curves = (CURVES_FILE,) if CURVES_FILE in self.files else ()
        return CONTENT_FILES + text + curves

    def feature_spec(self) -> FeatureSpec:
        """How histories become this model's inputs."""
        return FeatureSpec(
            tuple(self.features), tuple(self.event_types), self.place_buckets, self.max_length
        )


class Artifact(NamedTuple):
    """A loaded and checked artefact."""

    path: Path
    manifest: Manifest
    items: list[str]
    model: bytes  # ONNX
    smoke: Smoke
    text: TextFiles | None = None
    curves: bytes | None = None  # PNG


def load_artifact(path: Path | str) -> Artifact:
    """Read and check a directory. ArtifactError, one sentence, on the first fault."""
    directory = Path(path)
    if not directory.is_dir():
        message = f"there is no artefact directory {directory}: train one with `freshrec train`"
        raise ArtifactError(message)
    manifest = _manifest(_read(directory, MANIFEST_FILE))
    content = {}
    for name in manifest.content_files():
        data = _read(directory, name)
        if hashlib.sha256(data).hexdigest() != manifest.files[name]:
            message = (
                f"{name} of {directory} does not have the sha256 of the manifest: "
                "the artefact is incomplete or was changed, so export it again"
            )
            raise ArtifactError(message)
        content[name] = data
    items = _items(content[ITEMS_FILE], manifest)
    smoke = _smoke(content[SMOKE_FILE], manifest)
    text = None
    if manifest.text is not None:
        text = TextFiles(*(content[name] for name in TEXT_FILES))
        _check_projection(text, manifest.text, manifest.dim)
    curves = content.get(CURVES_FILE)
    return Artifact(directory, manifest, items, content[MODEL_FILE], smoke, text, curves)


def write_artifact(
    path: Path | str,
    manifest: Manifest,
    *,
    model: bytes,
    items: list[str],
    smoke: Smoke,
    text: TextFiles | None = None,
    curves: bytes | None = None,
) -> Artifact:
    """Write a directory that `load_artifact` accepts, all of it or nothing; returns it loaded.

    text: given exactly where the manifest has a `text`. curves: a PNG, or None for none. `files`
    and, where it is empty, `version` of the manifest are filled in from the content. An artefact
    already at `path` is replaced; any other file or directory there is an error.
    """
    directory = Path(path)
    if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
        message = f"{directory} is a file or a link, not a directory: choose another --out"
        raise ArtifactError(message)
    if directory.exists() and any(directory.iterdir()) and not (directory / MANIFEST_FILE).exists():
        message = f"{directory} holds something that is not an artefact: choose another --out"
        raise ArtifactError(message)
    content = {
        MODEL_FILE: model,
        ITEMS_FILE: msgspec.json.encode(items) + b"\n",
        SMOKE_FILE: msgspec.json.encode(smoke) + b"\n",
        **({} if text is None else text.by_name()),
    }
    files = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    digest = hashlib.sha256("".join(files.values()).encode()).hexdigest()
    if curves is not None:  # after the digest: the same model drawn otherwise is the same model
        content[CURVES_FILE] = curves
        files[CURVES_FILE] = hashlib.sha256(curves).hexdigest()
    manifest = msgspec.structs.replace(
        manifest, files=files, version=manifest.version or digest[:12]
    )
    content[MANIFEST_FILE] = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    directory.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        staging.chmod(0o755)
        for name, data in content.items():
            (staging / name).write_bytes(data)
        load_artifact(staging)
        if directory.exists():
            shutil.rmtree(directory)
        staging.rename(directory)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return load_artifact(directory)


def _read(directory: Path, name: str) -> bytes:
    """Bytes of one file that lies inside the directory, no larger than its limit."""
    path = directory / name
    if path.resolve().parent != directory.resolve():
        message = f"{name} of {directory} leads outside the artefact: copy the file itself there"
        raise ArtifactError(message)
    limit = MAX_FILE_BYTES[name]
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(limit + 1) if size <= limit else b""
    except OSError as error:
        message = f"{name} of {directory} cannot be read ({error.strerror}): export it again"
        raise ArtifactError(message) from error
    if size > limit or len(data) > limit:
        message = f"{name} of {directory} has {size} bytes, more than the {limit} allowed"
        raise ArtifactError(message)
    return data


def _manifest(data: bytes) -> Manifest:
    try:
        stated = msgspec.json.decode(data, type=dict[str, object]).get("format")
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        message = f"{MANIFEST_FILE} is not a JSON object ({error}): export the artefact again"
        raise ArtifactError(message) from error
    if stated != FORMAT:
        message = (
            f"artefact format {stated!r} is not known to this release, which reads {FORMAT}: "
            "export the artefact with this release"
        )
        raise ArtifactError(message)
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.ValidationError, UnicodeDecodeError) as error:
        message = f"{MANIFEST_FILE} is not valid: {error}"
        raise ArtifactError(message) from error
    for fault in _manifest_faults(manifest):
        message = f"{MANIFEST_FILE} is not valid: {fault}"
        raise ArtifactError(message)
    return manifest


def _manifest_faults(manifest: Manifest) -> list[str]:
    unknown = [name for name in manifest.features if name not in FEATURE_INPUTS]
    wanted = manifest.content_files()
    sizes = {
        "items": manifest.items,
        "top_k": manifest.top_k,
        "dim": manifest.dim,
        "layers": manifest.layers,
        "heads": manifest.heads,
    }
    checks = [
        (not _NAME.fullmatch(manifest.name), f"name {manifest.name!r}"),
        (not _NAME.fullmatch(manifest.version), f"version {manifest.version!r}"),
        (bool(unknown), f"unknown features {unknown}, known are {list(FEATURE_INPUTS)}"),
        (len(set(manifest.features)) != len(manifest.features), "a feature is named twice"),
        (len(set(manifest.event_types)) != len(manifest.event_types), "an event type twice"),
        (
            not 1 <= manifest.max_length <= MAX_WINDOW_EVENTS,
            f"max_length {manifest.max_length} is not in 1..{MAX_WINDOW_EVENTS}",
        ),
        (manifest.place_buckets < ("place" in manifest.features), "place_buckets is too small"),
        *((size < 1, f"{name} is {size}, not at least 1") for name, size in sizes.items()),
        (manifest.top_k > manifest.items, "top_k exceeds the number of items"),
        (
            manifest.opset not in OPSETS,
            f"opset {manifest.opset} is not in {OPSETS[0]}..{OPSETS[-1]}",
        ),
        (bool(manifest.blend.faults()), f"blend has {', '.join(manifest.blend.faults())}"),
        (
            manifest.repeat_policy not in REPEAT_POLICIES,
            f"repeat_policy {manifest.repeat_policy!r} is none of {list(REPEAT_POLICIES)}",
        ),
        (
            manifest.variant not in VARIANTS,
            f"variant {manifest.variant!r} is none of {list(VARIANTS)}",
        ),
        (
            set(manifest.files) != set(wanted),
            f"files must be exactly {list(manifest.content_files())}, not {sorted(manifest.files)}",
        ),
        (
            not all(_SHA256.fullmatch(digest) for digest in manifest.files.values()),
            "a sha256 is not 64 hexadecimal digits",
        ),
        (
            manifest.text is not None and bool(manifest.text.faults()),
            f"text has {', '.join(manifest.text.faults()) if manifest.text else ''}",
        ),
    ]
    return [fault for is_fault, fault in checks if is_fault]


def _check_projection(text: TextFiles, spec: TextSpec, dim: int) -> None:
    try:
        read_projection(text.projection, spec, dim)
    except ValueError as error:
        message = f"the artefact's item text is not usable: {error}"
        raise ArtifactError(message) from error


def _items(data: bytes, manifest: Manifest) -> list[str]:
    try:
        items = msgspec.json.decode(data, type=list[str])
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        message = f"{ITEMS_FILE} is not a JSON list of strings: {error}"
        raise ArtifactError(message) from error
    if len(items) != manifest.items:
        message = f"{ITEMS_FILE} has {len(items)} items, but the manifest says {manifest.items}"
        raise ArtifactError(message)
    if len(set(items)) != len(items):
        message = f"{ITEMS_FILE} names an item twice"
        raise ArtifactError(message)
    if not all(0 < len(item.encode()) <= MAX_ITEM_ID_BYTES for item in items):
        message = f"{ITEMS_FILE} has an id that is empty or longer than {MAX_ITEM_ID_BYTES} bytes"
        raise ArtifactError(message)
    return items


def _smoke(data: bytes, manifest: Manifest) -> Smoke:
    try:
        smoke = msgspec.json.decode(data, type=Smoke)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        message = f"{SMOKE_FILE} is not valid: {error}"
        raise ArtifactError(message) from error
    rows = len(smoke.items)
    columns = (
        smoke.event_types,
        smoke.times_ms,
        smoke.place_cells,
        smoke.candidates,
        smoke.top_ids,
        smoke.top_log_probs,
        smoke.candidate_log_probs,
    )
    same_events = all(
        len(items) == len(types) == len(times) == len(cells)
        for items, types, times, cells in zip(
            smoke.items, smoke.event_types, smoke.times_ms, smoke.place_cells, strict=False
        )
    )
    ids_known = all(0 <= i <= manifest.items for row in smoke.candidates for i in row)
    if not rows or any(len(column) != rows for column in columns) or not same_events:
        message = f"{SMOKE_FILE} is not valid: its columns have different lengths or are empty"
        raise ArtifactError(message)
    if not ids_known or len({len(row) for row in smoke.candidates}) != 1:
        message = f"{SMOKE_FILE} is not valid: its candidates are ragged or unknown ids"
        raise ArtifactError(message)
    fitting = all(len(vector) == manifest.dim + 1 for vector in smoke.text_vectors)
    if len(smoke.titles) != len(smoke.text_vectors) or not fitting:
        message = f"{SMOKE_FILE} is not valid: its titles and text_vectors do not match"
        raise ArtifactError(message)
    if bool(smoke.titles) != (manifest.text is not None):
        message = f"{SMOKE_FILE} must have titles where the manifest has a text, and only there"
        raise ArtifactError(message)
    return smoke
