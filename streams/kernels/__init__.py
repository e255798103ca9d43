"""Kernels: the innermost loops of folds and lists, compiled where the installation could.

`COMPILED` says which ones are used; both give the same bits. FRESHREC_PURE_PYTHON=1 in the
environment takes the ones in Python and NumPy.
"""

import os

__all__ = [
    "COMPILED",
    "ascending_keys",
    "blend_top",
    "choose_popular",
    "choose_top",
    "columns_fit",
    "decay_terms",
    "encode_edges",
    "find_numbers",
    "fold_items",
    "fold_plain",
    "group_keys",
    "hold_back",
    "join_edges",
    "keep_edges",
    "keep_strongest",
    "largest_positive",
    "last_distinct",
    "link_clicks",
    "name_kinds",
    "pack_columns",
    "pick",
    "read_edges",
    "read_plain",
    "read_times",
    "strongest_paths",
    "take",
    "unpack_columns",
    "weigh_items",
    "write_items",
]

try:
    if os.environ.get("FRESHREC_PURE_PYTHON") == "1":
        raise ImportError("asked for")
    from streams.kernels.compiled_candidates import (
        ascending_keys,
        group_keys,
        hold_back,
        pick,
        strongest_paths,
    )
    from streams.kernels.compiled_clicks import read_plain
    from streams.kernels.compiled_columns import columns_fit, pack_columns, unpack_columns
    from streams.kernels.compiled_edges import join_edges, read_edges
    from streams.kernels.compiled_folds import decay_terms, fold_items
    from streams.kernels.compiled_forgetting import keep_edges, keep_strongest
    from streams.kernels.compiled_histories import (
        find_numbers,
        last_distinct,
        name_kinds,
        read_times,
    )
    from streams.kernels.compiled_items import encode_edges
    from streams.kernels.compiled_links import link_clicks
    from streams.kernels.compiled_lists import blend_top, choose_top
    from streams.kernels.compiled_popularity import (
        choose_popular,
        largest_positive,
        take,
        weigh_items,
    )
    from streams.kernels.compiled_reasons import write_items
    from streams.kernels.compiled_windows import fold_plain
except ImportError:  # asked for, or no compiler when it was installed
    from streams.kernels.pure_candidates import (
        ascending_keys,
        group_keys,
        hold_back,
        pick,
        strongest_paths,
    )
    from streams.kernels.pure_clicks import read_plain
    from streams.kernels.pure_columns import columns_fit, pack_columns, unpack_columns
    from streams.kernels.pure_edges import join_edges, read_edges
    from streams.kernels.pure_folds import decay_terms, fold_items
    from streams.kernels.pure_forgetting import keep_edges, keep_strongest
    from streams.kernels.pure_histories import (
        find_numbers,
        last_distinct,
        name_kinds,
        read_times,
    )
    from streams.kernels.pure_items import encode_edges
    from streams.kernels.pure_links import link_clicks
    from streams.kernels.pure_lists import blend_top, choose_top
    from streams.kernels.pure_popularity import (
        choose_popular,
        largest_positive,
        take,
        weigh_items,
    )
    from streams.kernels.pure_reasons import write_items
    from streams.kernels.pure_windows import fold_plain

    COMPILED = False
else:
    COMPILED = True
