"""Kernels: the innermost loops of the folds, compiled where that could be done at installation.

`COMPILED` says which ones are used; both give the same bytes. FRESHREC_PURE_PYTHON=1 in the
environment takes the ones in Python.
"""

import os

__all__ = ["COMPILED", "add_run", "decay_terms", "keep_edges", "keep_strongest", "link_clicks"]

try:
    if os.environ.get("FRESHREC_PURE_PYTHON") == "1":
        raise ImportError("asked for")
    from streams.kernels.compiled import (
        add_run,
        decay_terms,
        keep_edges,
        keep_strongest,
        link_clicks,
    )
except ImportError:  # asked for, or no compiler when it was installed
    from streams.kernels.pure import (
        add_run,
        decay_terms,
        keep_edges,
        keep_strongest,
        link_clicks,
    )

    COMPILED = False
else:
    COMPILED = True
