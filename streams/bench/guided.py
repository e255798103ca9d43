"""Fuzzing guided by coverage: `python -m streams.bench.guided TARGET [options of libFuzzer]`.

Atheris keeps what reaches new code and goes on from there, so it finds what chance does not. It is
no dependency of freshrec: pip install atheris.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path

_DECODERS = (
    "streams.click",
    "streams.item",
    "streams.reject",
    "streams.codec",
    "streams.pipeline",
    "streams.rekeying",
)
_STATE = ("streams.window", "streams.window_state", "streams.graph", "streams.transition_batch")


def main(arguments: list[str]) -> None:
    """Fuzz one target until libFuzzer's options say stop; a defect ends the process."""
    try:
        import atheris
    except ImportError as error:
        raise SystemExit("Guided fuzzing needs atheris: pip install atheris.") from error
    with atheris.instrument_imports(include=["streams", "email", "http"]):
        for name in (*_DECODERS, *_STATE, "streams.serving"):
            importlib.import_module(name)
        from streams.bench.fuzz_targets import TARGETS
    if not arguments or arguments[0] not in TARGETS:
        raise SystemExit(f"Name a target: {', '.join(TARGETS)}.")
    target = TARGETS[arguments[0]]
    with tempfile.TemporaryDirectory() as directory:
        for number, example in enumerate(target.examples()):
            Path(directory, str(number)).write_bytes(example)
        atheris.Setup(
            [sys.argv[0], directory, "-timeout=20", "-rss_limit_mb=4096", *arguments[1:]],
            lambda data: (target.read(data), None)[1],
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
