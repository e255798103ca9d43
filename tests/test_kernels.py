"""Kernels: compiled where everything is tested, and in Python where that is asked for."""

import importlib
import os
from types import ModuleType

import pytest

import model.kernels
import streams.kernels
from model.kernels import pure_inputs
from streams.kernels import pure_folds

BOTH = pytest.mark.parametrize(
    ("kernels", "name", "pure"),
    [(streams.kernels, "fold_items", pure_folds), (model.kernels, "pad_windows", pure_inputs)],
    ids=["streams", "model"],
)


@BOTH
def test_the_compiled_kernels_are_there_where_everything_is_to_be_tested(
    kernels: ModuleType, name: str, pure: ModuleType
) -> None:
    if os.environ.get("FRESHREC_REQUIRE_KAFKA") == "1":
        assert kernels.COMPILED, "install a C compiler and Python's headers, then: make install"
    elif not kernels.COMPILED:
        pytest.skip("the kernels were not compiled: install a C compiler and run make install")
    assert getattr(kernels, name) is not getattr(pure, name)


@BOTH
def test_the_environment_can_ask_for_the_kernels_in_python(
    monkeypatch: pytest.MonkeyPatch, kernels: ModuleType, name: str, pure: ModuleType
) -> None:
    compiled = kernels.COMPILED
    monkeypatch.setenv("FRESHREC_PURE_PYTHON", "1")
    try:
        assert importlib.reload(kernels).COMPILED is False
        assert getattr(kernels, name) is getattr(pure, name)
    finally:
        monkeypatch.undo()
        assert importlib.reload(kernels).COMPILED is compiled
