"""Kernels: the innermost loops of folds and lists, compiled where the installation could.

`COMPILED` says which ones are used; both give the same bits. FRESHREC_PURE_PYTHON=1 in the
environment takes the ones in Python and NumPy.
"""

import os

__all__ = [
    "COMPILED",
    "add_run",
    "ascending_keys",
    "blend_top",
    "decay_terms",
    "encode_edges",
    "give_reasons",
    "group_keys",
    "hold_back",
    "join_edges",
    "keep_edges",
    "keep_strongest",
    "largest_positive",
    "link_clicks",
    "pick",
    "place_chosen",
    "read_edges",
    "select_top",
    "strongest_paths",
    "take",
    "weigh_items",
]

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
    from streams.kernels.compiled_candidates import (
        ascending_keys,
        group_keys,
        hold_back,
        pick,
        strongest_paths,
    )
    from streams.kernels.compiled_edges import join_edges, read_edges
    from streams.kernels.compiled_items import encode_edges
    from streams.kernels.compiled_lists import blend_top, place_chosen, select_top
    from streams.kernels.compiled_popularity import largest_positive, take, weigh_items
    from streams.kernels.compiled_reasons import give_reasons
except ImportError:  # asked for, or no compiler when it was installed
    from streams.kernels.pure import (
        add_run,
        decay_terms,
        keep_edges,
        keep_strongest,
        link_clicks,
    )
    from streams.kernels.pure_candidates import (
        ascending_keys,
        group_keys,
        hold_back,
        pick,
        strongest_paths,
    )
    from streams.kernels.pure_edges import join_edges, read_edges
    from streams.kernels.pure_items import encode_edges
    from streams.kernels.pure_lists import blend_top, place_chosen, select_top
    from streams.kernels.pure_popularity import largest_positive, take, weigh_items
    from streams.kernels.pure_reasons import give_reasons

    COMPILED = False
else:
    COMPILED = True
