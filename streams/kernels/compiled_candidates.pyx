# cython: language_level=3, binding=False, boundscheck=False, wraparound=False, cdivision=True
"""The kernels of candidates compiled: to the bit what `streams.kernels.pure_candidates` does, which
says what that is. Sums are made in the same order, and no product is fused with a sum (see the build). Indexes that come from outside are checked.
"""

from libc.math cimport INFINITY
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from streams.kernels.integers cimport ITEM_BITS, integer, key64

import numpy as np

from streams.kernels.pure_candidates import Grouped, GroupedKeys


cdef enum:
    DIGIT_BITS = 11
    FEW = 24  # entries, which are sorted sooner by insertion


cdef integer ITEM_MASK = 0xFFFFFFFF
cdef key64 NO_ITEM = 0xFFFFFFFFFFFFFFFF


def ascending_keys(list per_user):
    cdef Py_ssize_t count = 0
    cdef Py_ssize_t place = 0
    cdef Py_ssize_t user
    cdef integer item
    for user in range(len(per_user)):
        count += len(per_user[user])
    made = np.empty(count, dtype=np.int64)
    cdef integer[::1] keys = made
    for user in range(len(per_user)):
        for item in <set?>per_user[user]:
            if place == count:
                raise ValueError("a set that grows")
            keys[place] = <integer>user << ITEM_BITS | item
            place += 1
    if place != count:
        raise ValueError("a set that shrinks")
    made.sort()
    return made


def hold_back(
    double[::1] prior,
    const integer[::1] keys,
    const integer[::1] repeated,
    double penalty,
    const integer[::1] excluded,
    unavailable,
):
    cdef const unsigned char[::1] gone = unavailable.view(np.uint8)
    cdef Py_ssize_t place
    cdef Py_ssize_t next_repeated = 0
    cdef Py_ssize_t next_excluded = 0
    cdef integer key, item
    if keys.shape[0] != prior.shape[0]:
        raise ValueError("columns of unequal length")
    for place in range(prior.shape[0]):
        key = keys[place]
        item = key & ITEM_MASK
        if item >= gone.shape[0]:
            raise IndexError("an item without a number")
        while next_repeated < repeated.shape[0] and repeated[next_repeated] < key:
            next_repeated += 1
        if next_repeated < repeated.shape[0] and repeated[next_repeated] == key:
            prior[place] -= penalty
        while next_excluded < excluded.shape[0] and excluded[next_excluded] < key:
            next_excluded += 1
        if next_excluded < excluded.shape[0] and excluded[next_excluded] == key:
            prior[place] = -INFINITY
        if gone[item]:
            prior[place] = -INFINITY


def pick(const integer[::1] values, places, integer missing):
    cdef const integer[::1] wanted = places.ravel()
    cdef Py_ssize_t number
    made = np.empty(places.shape, dtype=np.int64)
    cdef integer[::1] found = made.reshape(-1)
    for number in range(wanted.shape[0]):
        if 0 <= wanted[number] < values.shape[0]:
            found[number] = values[wanted[number]]
        else:
            found[number] = missing
    return made


cdef void _sort_by_item(
    key64* entries, key64* spare, Py_ssize_t count, int bits, Py_ssize_t* counts
) noexcept nogil:
    """Sort entries, item << 32 | place, by their items, of which the lowest `bits` may be set, in a
    stable order. Digit by digit: a user has some hundred entries, which stay in the nearest cache.
    `counts`: room for all values of a digit.
    """
    cdef int digits = (bits + DIGIT_BITS - 1) // DIGIT_BITS
    cdef int width, digit, shift
    cdef Py_ssize_t number, first, value, values
    cdef key64* found = entries
    cdef key64* made = spare
    cdef key64* swapped
    cdef key64 entry
    if count <= FEW:
        for number in range(1, count):
            entry = entries[number]
            first = number
            while first and entries[first - 1] >> ITEM_BITS > entry >> ITEM_BITS:
                entries[first] = entries[first - 1]
                first -= 1
            entries[first] = entry
        return
    width = (bits + digits - 1) // digits
    values = <Py_ssize_t>1 << width
    for digit in range(digits):
        shift = ITEM_BITS + digit * width
        memset(counts, 0, values * sizeof(Py_ssize_t))
        for number in range(count):
            counts[found[number] >> shift & <key64>(values - 1)] += 1
        first = 0
        for value in range(values):
            number = counts[value]
            counts[value] = first
            first += number
        for number in range(count):
            value = <Py_ssize_t>(found[number] >> shift & <key64>(values - 1))
            made[counts[value]] = found[number]
            counts[value] += 1
        swapped = found
        found = made
        made = swapped
    if found != entries:
        memcpy(entries, found, count * sizeof(key64))


def group_keys(const integer[::1] keys, Py_ssize_t users, columns):
    cdef Py_ssize_t count = keys.shape[0]
    cdef Py_ssize_t groups = 0
    cdef Py_ssize_t most = 0
    cdef Py_ssize_t user, place, group, before, first
    cdef integer number
    cdef integer seen = 0  # bits of any item number
    cdef int bits = 1
    cdef Py_ssize_t counts[1 << DIGIT_BITS]
    if count > <Py_ssize_t>ITEM_MASK:
        raise OverflowError("too many entries for one batch")
    # Sorted in the place where their numbers are to stand: memory that is new costs more than
    # anything that is done with it here.
    made_entries = np.empty(count, dtype=np.uint64)
    made_user_start = np.empty(users + 1, dtype=np.int64)
    cdef key64[::1] entries = made_entries
    cdef integer[::1] user_start = made_user_start
    cdef Py_ssize_t* user_end = <Py_ssize_t*>calloc(users + 1, sizeof(Py_ssize_t))
    cdef key64* spare = NULL
    try:
        if user_end is NULL:
            raise MemoryError
        for place in range(count):
            if not 0 <= keys[place] >> ITEM_BITS < users:
                raise IndexError("an entry of nobody")
            user_end[(keys[place] >> ITEM_BITS) + 1] += 1
            seen |= keys[place] & ITEM_MASK
        while seen >> bits:
            bits += 1
        for user in range(1, users + 1):
            most = max(most, user_end[user])
            user_end[user] += user_end[user - 1]
        spare = <key64*>malloc((most + 1) * sizeof(key64))
        if spare is NULL:
            raise MemoryError
        for place in range(count):  # the first of each user's entries moves up to their end
            user = keys[place] >> ITEM_BITS
            entries[user_end[user]] = <key64>keys[place] << ITEM_BITS | <key64>place
            user_end[user] += 1
        first = 0
        for user in range(users):
            user_start[user] = groups
            if first < user_end[user]:
                _sort_by_item(&entries[first], spare, user_end[user] - first, bits, counts)
                groups += 1
                for place in range(first + 1, user_end[user]):
                    groups += entries[place] >> ITEM_BITS != entries[place - 1] >> ITEM_BITS
            first = user_end[user]
        user_start[users] = groups
        made_keys = np.empty(groups, dtype=np.int64)
        made_items = np.empty(groups, dtype=np.int64)
        made_start = np.empty(groups + 1, dtype=np.int64)
        _open_groups(entries, user_end, users, made_keys, made_items, made_start)
    finally:
        free(user_end)
        free(spare)
    cdef const integer[::1] start = made_start
    cdef const double[::1] values
    cdef double[::1] sums
    made_sums = []
    for column, first in columns:
        values, before = column, first
        of_groups = np.zeros(groups)
        sums = of_groups
        for group in range(groups):
            for place in range(start[group], start[group + 1]):
                number = <integer>entries[place] - before
                if 0 <= number < values.shape[0]:
                    sums[group] += values[number]
        made_sums.append(of_groups)
    grouped = Grouped(made_keys, made_start, made_entries.view(np.int64), made_sums)
    return GroupedKeys(grouped, made_user_start, made_items)


cdef void _open_groups(
    key64[::1] entries,
    const Py_ssize_t* user_end,
    Py_ssize_t users,
    integer[::1] keys,
    integer[::1] items,
    integer[::1] start,
) noexcept:
    """Note where each group begins, and leave the numbers of the sorted entries."""
    cdef Py_ssize_t user
    cdef Py_ssize_t place = 0
    cdef Py_ssize_t groups = 0
    cdef key64 item, last
    for user in range(users):
        last = NO_ITEM
        while place < user_end[user]:
            item = entries[place] >> ITEM_BITS
            if item != last:
                keys[groups] = <integer>user << ITEM_BITS | <integer>item
                items[groups] = <integer>item
                start[groups] = place
                last = item
                groups += 1
            entries[place] &= <key64>ITEM_MASK
            place += 1
    start[groups] = place


def strongest_paths(
    const integer[::1] candidates, const integer[::1] start, const integer[::1] entries, edges
):
    cdef const double[::1] contributions = edges.contributions
    cdef const integer[::1] edge_ms = edges.last_ms
    cdef const integer[::1] pair_start = edges.pair_start
    cdef const integer[::1] pair_source = edges.pair_source
    cdef const double[::1] importance = edges.pair_importance
    cdef Py_ssize_t pairs = pair_start.shape[0]
    cdef Py_ssize_t count = candidates.shape[0]
    cdef Py_ssize_t width = 0
    cdef Py_ssize_t number, place, pair, low, high, middle, best
    cdef integer position, entry
    sources = np.full(count, -1)
    shares = np.zeros(count)
    newest_ms = np.zeros(count, dtype=np.int64)
    cdef integer[::1] source = sources
    cdef double[::1] share = shares
    cdef integer[::1] newest = newest_ms
    if pair_source.shape[0] != pairs or importance.shape[0] != pairs:
        raise ValueError("columns of unequal length")
    if contributions.shape[0] != edge_ms.shape[0]:
        raise ValueError("columns of unequal length")
    for pair in range(pairs):
        if pair_source[pair] < 0:
            raise IndexError("a source that is none")
        width = max(width, pair_source[pair] + 1)
    if not width:
        return sources, shares, newest_ms
    cdef double* strengths = <double*>malloc(2 * width * sizeof(double))
    cdef integer* times = <integer*>malloc(width * sizeof(integer))
    cdef double* parts = strengths + width
    try:
        if strengths is NULL or times is NULL:
            raise MemoryError
        for number in range(count):
            position = candidates[number]
            if position < 0:
                continue
            if position + 1 >= start.shape[0] or start[position + 1] > entries.shape[0]:
                raise IndexError("a position that is no candidate")
            for place in range(width):
                strengths[place] = parts[place] = 0.0
                times[place] = 0
            for place in range(start[position], start[position + 1]):
                entry = entries[place]
                if entry >= contributions.shape[0]:
                    continue
                low, high = 0, pairs
                while low < high:  # the last pair that begins no later than the entry
                    middle = (low + high) // 2
                    if pair_start[middle] <= entry:
                        low = middle + 1
                    else:
                        high = middle
                if not low:
                    raise IndexError("an edge before the first pair")
                pair = low - 1
                strengths[pair_source[pair]] += contributions[entry]
                parts[pair_source[pair]] += contributions[entry] / importance[pair]
                times[pair_source[pair]] = max(times[pair_source[pair]], edge_ms[entry])
            best = 0
            for place in range(1, width):
                if strengths[place] > strengths[best]:
                    best = place
            if parts[best] > 0.0:
                source[number] = best
                share[number] = min(parts[best], 1.0)
                newest[number] = times[best]
    finally:
        free(strengths)
        free(times)
    return sources, shares, newest_ms
