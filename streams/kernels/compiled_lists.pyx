# cython: language_level=3, binding=False, boundscheck=False, wraparound=False, cdivision=True
"""The kernels of ranking compiled: to the bit what `streams.kernels.pure_lists` does, which says what
that is. No product is fused with a sum (see the build). Indexes that come from outside are checked.
"""

from libc.math cimport INFINITY, isfinite
from libc.stdlib cimport free, malloc

import numpy as np

from streams.kernels.heap cimport Ranked, best_first, integer, key64, offer, sort_best
from streams.kernels.integers cimport ITEM_BITS
from streams.kernels.pure_lists import Chosen


cdef struct Range:
    Py_ssize_t begin
    Py_ssize_t end


cdef inline Py_ssize_t _bisect(
    const integer[::1] keys, integer key, Py_ssize_t low, Py_ssize_t high
) noexcept nogil:
    """The first in keys[low:high], which ascend, that is not below `key`; `high` if none is."""
    cdef Py_ssize_t middle
    while low < high:
        middle = (low + high) // 2
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low


cdef inline Py_ssize_t _find(const integer[::1] keys, integer key, Range within) noexcept nogil:
    """Where `key` stands in a range of ascending keys; -1: nowhere."""
    cdef Py_ssize_t place = _bisect(keys, key, within.begin, within.end)
    return place if place < within.end and keys[place] == key else -1


cdef inline Range _of_user(const integer[::1] keys, integer user) noexcept nogil:
    """The keys of one user among those of a batch. Looked for once, not once an item: what stands
    near was read before."""
    cdef Range found
    found.begin = _bisect(keys, user << ITEM_BITS, 0, keys.shape[0])
    found.end = _bisect(keys, (user + 1) << ITEM_BITS, found.begin, keys.shape[0])
    return found


cdef struct Entry:
    double prior
    double log_prob
    integer position


def choose_top(
    const double[::1] scores,
    const integer[::1] start,
    const integer[::1] items,
    const key64[::1] tie_keys,
    Py_ssize_t n,
):
    cdef Py_ssize_t users = start.shape[0] - 1
    shape = (users, n)
    made = Chosen(
        np.full(shape, -1, dtype=np.int64), np.full(shape, -1, dtype=np.int64),
        np.full(shape, -np.inf),
    )
    if not users or not n:
        return made
    cdef integer[:, ::1] positions = made.positions
    cdef integer[:, ::1] chosen_items = made.items
    cdef double[:, ::1] chosen_scores = made.scores
    cdef Py_ssize_t user, place, count
    cdef Py_ssize_t most = 0
    cdef Ranked* value
    if scores.shape[0] != items.shape[0]:
        raise ValueError("columns of unequal length")
    for user in range(users):
        if not 0 <= start[user] <= start[user + 1] <= scores.shape[0]:
            raise IndexError("a user's candidates lie outside")
        most = max(most, start[user + 1] - start[user])
    cdef Ranked* ranked = <Ranked*>malloc(2 * most * sizeof(Ranked))
    if ranked is NULL and most:
        raise MemoryError
    cdef Ranked* best = ranked + most
    try:
        for user in range(users):
            count = 0
            for place in range(start[user], start[user + 1]):
                if not scores[place] > -INFINITY:
                    continue
                if not 0 <= items[place] < tie_keys.shape[0]:
                    raise IndexError("an item without a number")
                value = &ranked[count]
                value.score = scores[place]
                value.tie = tie_keys[items[place]]
                value.place = place
                count += 1
            count = sort_best(ranked, count, n, best)
            for place in range(count):
                positions[user, place] = best[place].place
                chosen_items[user, place] = items[best[place].place]
                chosen_scores[user, place] = best[place].score
    finally:
        free(ranked)
    return made


cdef inline bint _is_of_use(
    const Ranked* heap, Py_ssize_t count, Py_ssize_t size, double score
) noexcept nogil:
    """Whether a score can be among the best `size`, as far as `count` of them are known."""
    return score > -INFINITY and (count < size or score >= heap[0].score)


def blend_top(pool, others, encoded, places):
    cdef const integer[::1] start = pool.start
    cdef const integer[::1] keys = pool.keys
    cdef const double[::1] candidate_prior = pool.prior
    cdef const integer[:, ::1] chosen = pool.chosen.positions
    cdef const integer[:, ::1] chosen_items = pool.chosen.items
    cdef const double[:, ::1] chosen_prior = pool.chosen.scores
    cdef const double[::1] popular = others.popular_score
    cdef const integer[::1] repeated = others.repeated_keys
    cdef const integer[::1] excluded = others.excluded_keys
    cdef double penalty = others.repeat_penalty
    cdef const unsigned char[::1] unavailable = others.unavailable.view(np.uint8)
    cdef const key64[::1] tie_keys = others.tie_keys
    cdef const integer[::1] rows = encoded.rows
    cdef const float[:, ::1] log_probs = encoded.log_probs
    cdef const integer[:, ::1] best_items = encoded.best_items
    cdef const float[:, ::1] best_log_probs = encoded.best_log_probs
    cdef double weight = encoded.weight
    cdef double unknown = encoded.unknown
    cdef integer[:, ::1] items = places.items
    cdef double[:, ::1] scores = places.scores
    cdef integer[:, ::1] positions = places.positions
    cdef double[:, ::1] sequence = places.sequence
    cdef unsigned char[::1] is_base = np.zeros(keys.shape[0] + 1, dtype=np.uint8)
    cdef Py_ssize_t columns = chosen.shape[1]
    cdef Py_ssize_t best = best_items.shape[1]
    cdef Py_ssize_t size = items.shape[1]
    cdef Py_ssize_t scored, column, place, count
    cdef Range of_user, of_excluded, of_repeated
    cdef integer row, item, position, key
    cdef double floor, log_prob, prior, lift, whole
    cdef Ranked value
    if not size:
        return
    if (
        candidate_prior.shape[0] != keys.shape[0]
        or start.shape[0] != chosen.shape[0] + 1
        or not chosen.shape[0] == chosen_items.shape[0] == chosen_prior.shape[0]
        or not columns == chosen_items.shape[1] == chosen_prior.shape[1]
        or log_probs.shape[0] != rows.shape[0]
        or log_probs.shape[1] != columns
        or best_items.shape[0] != rows.shape[0]
        or best_log_probs.shape[0] != rows.shape[0]
        or best_log_probs.shape[1] != best
        or not items.shape[0] == scores.shape[0] == positions.shape[0] == sequence.shape[0]
        or scores.shape[1] != size
        or positions.shape[1] != size
        or sequence.shape[1] != size
    ):
        raise ValueError("columns of unequal length")
    cdef Ranked* heap = <Ranked*>malloc(size * sizeof(Ranked))
    cdef Entry* entries = <Entry*>malloc((columns + best + 1) * sizeof(Entry))
    try:
        if heap is NULL or entries is NULL:
            raise MemoryError
        for scored in range(rows.shape[0]):
            row = rows[scored]
            if not 0 <= row < chosen.shape[0] or row >= items.shape[0]:
                raise IndexError("a row that is no user")
            floor = INFINITY
            for column in range(best):
                if isfinite(best_log_probs[scored, column]):
                    floor = min(floor, <double>best_log_probs[scored, column])
            if not isfinite(floor):
                floor = 0.0
            count = 0
            for column in range(columns):
                position = chosen[row, column]
                if position < 0:
                    continue
                if position >= keys.shape[0]:
                    raise IndexError("a position that is no candidate")
                is_base[position] = 1
                prior = chosen_prior[row, column]
                log_prob = log_probs[scored, column]
                if not isfinite(log_prob):
                    log_prob = floor
                    prior += unknown
                value.score = prior + weight * log_prob
                if not _is_of_use(heap, count, size, value.score):
                    continue
                item = chosen_items[row, column]
                if not 0 <= item < tie_keys.shape[0]:
                    raise IndexError("an item without a number")
                value.tie, value.place = tie_keys[item], column
                entries[column] = Entry(prior, log_prob, position)
                count = offer(heap, count, size, value)
            of_user.begin, of_user.end = start[row], start[row + 1]
            if not 0 <= of_user.begin <= of_user.end <= keys.shape[0]:
                raise IndexError("a user's candidates lie outside")
            of_excluded, of_repeated = _of_user(excluded, row), _of_user(repeated, row)
            for column in range(best):
                item = best_items[scored, column]
                if item < 0 or item >= tie_keys.shape[0]:
                    continue
                if item < unavailable.shape[0] and unavailable[item]:
                    continue
                key = (row << ITEM_BITS) | item
                position = _find(keys, key, of_user)
                if position >= 0:
                    if is_base[position]:
                        continue
                    prior = candidate_prior[position]
                elif _find(excluded, key, of_excluded) >= 0:
                    continue
                else:
                    prior = popular[item] if item < popular.shape[0] else 0.0
                    if _find(repeated, key, of_repeated) >= 0:
                        prior -= penalty
                log_prob = best_log_probs[scored, column]
                if not isfinite(log_prob):
                    log_prob = floor
                value.score = prior + weight * log_prob
                if not _is_of_use(heap, count, size, value.score):
                    continue
                value.tie, value.place = tie_keys[item], columns + column
                entries[value.place] = Entry(prior, log_prob, position)
                count = offer(heap, count, size, value)
            best_first(heap, count)
            for place in range(size):
                if place >= count:
                    items[row, place], positions[row, place] = -1, -1
                    scores[row, place], sequence[row, place] = -INFINITY, 0.0
                    continue
                column = heap[place].place
                if column < columns:
                    items[row, place] = chosen_items[row, column]
                else:
                    items[row, place] = best_items[scored, column - columns]
                scores[row, place] = heap[place].score
                positions[row, place] = entries[column].position
                lift = max(weight * (entries[column].log_prob - floor), 0.0)
                whole = lift + max(entries[column].prior, 0.0)
                sequence[row, place] = lift / whole if whole > 0.0 else 0.0
    finally:
        free(heap)
        free(entries)
