# cython: language_level=3, binding=False
"""Forgetting compiled: to the bit what `streams.kernels.pure_forgetting` does, which says what that is.
"""

from cpython cimport array
from libc.stdlib cimport qsort


def keep_edges(edges, list wanted):
    cdef array.array weights = edges.weights
    cdef array.array last_seconds = edges.last_seconds
    cdef array.array counts = edges.counts
    cdef Py_ssize_t place = 0
    cdef Py_ssize_t kept = 0
    cdef dict slots = {}
    if not len(weights) == len(last_seconds) == len(counts) == len(edges.slots) == len(wanted):
        raise ValueError("columns of unequal length")
    for item_id in <dict>edges.slots:
        if wanted[place]:
            slots[item_id] = kept
            weights.data.as_floats[kept] = weights.data.as_floats[place]
            last_seconds.data.as_longlongs[kept] = last_seconds.data.as_longlongs[place]
            counts.data.as_ulonglongs[kept] = counts.data.as_ulonglongs[place]
            kept += 1
        place += 1
    array.resize(weights, kept)
    array.resize(last_seconds, kept)
    array.resize(counts, kept)
    edges.slots = slots


cdef int _ascending(const void* left, const void* right) noexcept nogil:
    cdef float a = (<const float*>left)[0]
    cdef float b = (<const float*>right)[0]
    return (a > b) - (a < b)


def keep_strongest(edges, Py_ssize_t kept):
    cdef array.array weights = edges.weights
    cdef array.array last_seconds = edges.last_seconds
    cdef Py_ssize_t count = len(weights)
    cdef Py_ssize_t place, missing
    cdef float bar
    cdef list wanted = [False] * count
    if not 0 < kept < count or len(last_seconds) != count:
        raise ValueError("nothing to forget")
    cdef array.array ranked = array.copy(weights)
    qsort(ranked.data.as_floats, count, sizeof(float), _ascending)
    bar = ranked.data.as_floats[count - kept - 1]
    missing = kept
    for place in range(count):
        if weights.data.as_floats[place] > bar:
            wanted[place] = True
            missing -= 1
    if missing:
        ties = [
            (last_seconds[slot], item_id, slot)
            for item_id, slot in edges.slots.items()
            if weights[slot] == bar
        ]
        for _, _, place in sorted(ties)[-missing:]:
            wanted[place] = True
    keep_edges(edges, wanted)
