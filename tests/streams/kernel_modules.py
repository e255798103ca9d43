"""The two versions of kernels, as one object each."""

import importlib
from types import SimpleNamespace
from typing import Any


def kernels_of(kind: str, *parts: str) -> Any:
    """Everything in the modules of these parts, `pure` or `compiled`."""
    found: dict[str, Any] = {}
    for part in parts:
        found |= vars(importlib.import_module(f"streams.kernels.{kind}_{part}"))
    return SimpleNamespace(**found)
