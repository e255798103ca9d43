"""Build hook: compiles the kernels (`*/kernels/*.pyx`) where there is a C compiler.

Without one the package is built as well, with the same kernels in Python: slower, with the same
results. FRESHREC_PURE_PYTHON=1 asks for that.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_OF_STREAMS = tuple(
    f"streams.kernels.{name}"
    for name in (
        "compiled_candidates",
        "compiled_clicks",
        "compiled_columns",
        "compiled_edges",
        "compiled_folds",
        "compiled_forgetting",
        "compiled_histories",
        "compiled_items",
        "compiled_links",
        "compiled_lists",
        "compiled_popularity",
        "compiled_reasons",
        "compiled_windows",
    )
)
_MODULES = ("model.kernels.compiled_inputs", *_OF_STREAMS)
# The same bits as in Python: no product fused with a sum, and libm's own pow.
_FLAGS = [] if sys.platform == "win32" else ["-O2", "-ffp-contract=off", "-fno-builtin-pow"]


class KernelsHook(BuildHookInterface[BuilderConfig]):
    """Puts the compiled kernels beside their source, and into the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Called by hatchling before a wheel, editable or not, is built."""
        if self.target_name != "wheel" or os.environ.get("FRESHREC_PURE_PYTHON") == "1":
            return
        try:
            libraries = _compile(Path(self.root))
        except Exception as error:  # noqa: BLE001 (whatever the compiler's trouble is)
            self.app.display_warning(
                f"The kernels were not compiled, so they run in Python: {error!r}. For the faster"
                " ones install a C compiler and the headers of Python (Debian: gcc python3-dev)."
            )
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["artifacts"] += [library.as_posix() for library in libraries]


def _compile(root: Path) -> list[Path]:
    """Compile in place; returns the libraries' paths in the project."""
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension

    with tempfile.TemporaryDirectory() as made:
        extensions = [
            Extension(name, [str(root / f"{_path(name)}.pyx")], extra_compile_args=_FLAGS)
            for name in _MODULES
        ]
        modules = cythonize(extensions, build_dir=made, quiet=True)
        build = Distribution({"ext_modules": modules}).get_command_obj("build_ext")
        build.build_temp = made
        build.build_lib = str(root)
        build.ensure_finalized()
        build.run()
        return [Path(build.get_ext_filename(name)) for name in _MODULES]


def _path(module: str) -> Path:
    return Path(*module.split("."))
