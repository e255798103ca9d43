# cython: language_level=3, binding=False, boundscheck=False, wraparound=False, cdivision=True
"""The kernels of popularity compiled: to the bit what `streams.kernels.pure_popularity` does, which
says what that is. No product is fused with a sum (see the build). What comes from outside is
checked.
"""

from cpython.set cimport PySet_Contains
from libc.math cimport INFINITY, ldexp
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

import numpy as np

from streams.kernels.heap cimport Ranked, best_first, integer, key64, offer

cdef integer LOWEST = -2000
cdef integer HIGHEST = 500
cdef integer LOWEST_NORMAL = -1022


cdef inline double _scaled(double weight, integer base, integer age) noexcept nogil:
    """weight * 2^(base - age), as `ldexp` rounds it."""
    cdef integer exponent = <integer>(<key64>base - <key64>age)
    cdef key64 bits
    cdef double scale
    if exponent > HIGHEST:
        exponent = HIGHEST
    if exponent < LOWEST_NORMAL:
        return ldexp(weight, <int>(exponent if exponent > LOWEST else LOWEST))
    # A product with a power of two is rounded once, as there, and takes a fraction of the time.
    bits = <key64>(exponent + 1023) << 52
    memcpy(&scale, &bits, sizeof(double))
    return weight * scale


cdef integer _newest(const double[::1] weights, const integer[::1] bases) noexcept nogil:
    cdef Py_ssize_t item
    cdef integer newest = 0
    for item in range(weights.shape[0]):
        if weights[item] > 0.0 and bases[item] > newest:
            newest = bases[item]
    return newest


def weigh_items(long_term, short_term, double usual_share):
    cdef const double[::1] long_weights = long_term.weights
    cdef const integer[::1] long_bases = long_term.bases
    cdef integer long_age = long_term.age
    cdef double long_fraction = long_term.fraction
    cdef const double[::1] short_weights = short_term.weights
    cdef const integer[::1] short_bases = short_term.bases
    cdef integer short_age = short_term.age
    cdef double short_fraction = short_term.fraction
    cdef Py_ssize_t count = long_weights.shape[0]
    cdef Py_ssize_t item
    cdef integer long_newest, short_newest
    cdef double usual, now
    if not count == long_bases.shape[0] == short_weights.shape[0] == short_bases.shape[0]:
        raise ValueError("columns of unequal length")
    made_relative = np.empty(count)
    made_recent = np.empty(count)
    made_trends = np.empty(count)
    cdef double[::1] relative = made_relative
    cdef double[::1] recent = made_recent
    cdef double[::1] trends = made_trends
    long_newest = _newest(long_weights, long_bases)
    short_newest = _newest(short_weights, short_bases)
    for item in range(count):
        relative[item] = _scaled(long_weights[item], long_bases[item], long_newest)
        recent[item] = _scaled(short_weights[item], short_bases[item], short_newest)
        usual = _scaled(long_weights[item], long_bases[item], long_age) * long_fraction
        usual = usual * usual_share
        now = _scaled(short_weights[item], short_bases[item], short_age) * short_fraction
        trends[item] = now / (usual + 1.0)
    return made_relative, made_recent, made_trends


def largest_positive(const double[::1] values, const key64[::1] tie_keys, Py_ssize_t n):
    cdef Py_ssize_t count = 0
    cdef Py_ssize_t place
    cdef Ranked value
    if tie_keys.shape[0] < values.shape[0]:
        raise ValueError("columns of unequal length")
    n = min(n, values.shape[0])
    if n <= 0:
        return np.empty(0, dtype=np.int64)
    cdef Ranked* heap = <Ranked*>malloc(n * sizeof(Ranked))
    if heap is NULL:
        raise MemoryError
    try:
        for place in range(values.shape[0]):
            value.score = values[place]
            if not value.score > 0.0 or (count == n and value.score < heap[0].score):
                continue
            value.tie = tie_keys[place]
            value.place = place
            count = offer(heap, count, n, value)
        best_first(heap, count)
        found = np.empty(count, dtype=np.int64)
        _write_places(heap, found)
    finally:
        free(heap)
    return found


cdef void _write_places(const Ranked* heap, integer[::1] places) noexcept:
    cdef Py_ssize_t place
    for place in range(places.shape[0]):
        places[place] = heap[place].place


def choose_popular(const integer[::1] ranked, unavailable, list excluded, Py_ssize_t n):
    cdef const unsigned char[::1] gone = unavailable.view(np.uint8)
    cdef Py_ssize_t place
    cdef list usable = []
    cdef list chosen = []
    cdef list of_user
    for place in range(ranked.shape[0]):
        if not 0 <= ranked[place] < gone.shape[0]:
            raise IndexError("an item without a number")
        if not gone[ranked[place]]:
            usable.append(ranked[place])
    for items in excluded:
        of_user = []
        for item in usable:
            if len(of_user) >= n:
                break
            if not PySet_Contains(items, item):
                of_user.append(item)
        chosen.append(of_user)
    return chosen, len(usable)


def take(const double[::1] values, const integer[::1] items):
    cdef Py_ssize_t place
    made = np.empty(items.shape[0])
    cdef double[::1] found = made
    for place in range(items.shape[0]):
        found[place] = values[items[place]] if 0 <= items[place] < values.shape[0] else 0.0
    return made
