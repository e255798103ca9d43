"""Kernels of the encoder's inputs, compiled where the installation could, as those of `streams`.

`COMPILED` says which ones are used; both give the same bits. FRESHREC_PURE_PYTHON=1 in the
environment takes the ones in Python and NumPy.
"""

import os

__all__ = ["COMPILED", "are_ids", "find_known", "pad_windows"]

try:
    if os.environ.get("FRESHREC_PURE_PYTHON") == "1":
        raise ImportError("asked for")
    from model.kernels.compiled_inputs import are_ids, find_known, pad_windows
except ImportError:  # asked for, or no compiler when it was installed
    from model.kernels.pure_inputs import are_ids, find_known, pad_windows

    COMPILED = False
else:
    COMPILED = True
