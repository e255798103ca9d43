"""Kernels: the innermost loops of the folds, compiled where that could be done at installation.

`COMPILED` says which ones are used; both give the same bytes. FRESHREC_PURE_PYTHON=1 in the
environment takes the ones in Python.
"""

import os

from streams.kernels import pure

COMPILED = False
add_run = pure.add_run
decay_terms = pure.decay_terms
keep_edges = pure.keep_edges
keep_strongest = pure.keep_strongest
link_clicks = pure.link_clicks

if os.environ.get("FRESHREC_PURE_PYTHON", "") != "1":
    try:
        from streams.kernels import compiled
    except ImportError:  # no compiler when it was installed
        pass
    else:
        COMPILED = True
        add_run = compiled.add_run
        decay_terms = compiled.decay_terms
        keep_edges = compiled.keep_edges
        keep_strongest = compiled.keep_strongest
        link_clicks = compiled.link_clicks
