# cython: language_level=3, binding=False, boundscheck=False, wraparound=False, cdivision=True
"""The kernels of lists compiled: to the bit what `streams.kernels.pure_lists` does, which says what
that is. Sums are made in the same order, powers by the same function, and no product is fused with
a sum (see the build). Indexes are checked where they come from outside a kernel.
"""

from libc.math cimport INFINITY, isfinite
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

import numpy as np

from streams.kernels.pure_lists import Grouped

cdef int ITEM_BITS = 32

ctypedef long long integer
ctypedef unsigned long long key64


cdef struct Ranked:
    double score
    key64 tie
    integer place


cdef inline bint _worse(const Ranked* left, const Ranked* right) noexcept nogil:
    if left.score != right.score:
        return left.score < right.score
    if left.tie != right.tie:
        return left.tie > right.tie
    return left.place > right.place


cdef inline void _sink(Ranked* heap, Py_ssize_t count, Ranked value) noexcept nogil:
    """Put a value at the root of a heap whose root is the worst, and let it sink."""
    cdef Py_ssize_t place = 0
    cdef Py_ssize_t child
    while True:
        child = 2 * place + 1
        if child >= count:
            break
        if child + 1 < count and _worse(&heap[child + 1], &heap[child]):
            child += 1
        if not _worse(&heap[child], &value):
            break
        heap[place] = heap[child]
        place = child
    heap[place] = value


cdef inline Py_ssize_t _offer(
    Ranked* heap, Py_ssize_t count, Py_ssize_t bound, Ranked value
) noexcept nogil:
    """Keep the best `bound` values; returns how many there are now."""
    cdef Py_ssize_t place, parent
    if count == bound:
        if _worse(&heap[0], &value):
            _sink(heap, count, value)
        return count
    place = count
    while place:
        parent = (place - 1) // 2
        if not _worse(&value, &heap[parent]):
            break
        heap[place] = heap[parent]
        place = parent
    heap[place] = value
    return count + 1


cdef inline void _best_first(Ranked* heap, Py_ssize_t count) noexcept nogil:
    """Sort a heap whose root is the worst."""
    cdef Ranked worst
    while count > 1:
        count -= 1
        worst = heap[0]
        _sink(heap, count, heap[count])
        heap[count] = worst


cdef inline Py_ssize_t _lower(
    const integer[::1] keys, integer key, Py_ssize_t low, Py_ssize_t high
) noexcept nogil:
    """The first place in keys[low:high], which ascend, whose key is not below `key`."""
    cdef Py_ssize_t middle
    while low < high:
        middle = (low + high) // 2
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low


cdef inline Py_ssize_t _find(
    const integer[::1] keys, integer key, Py_ssize_t low, Py_ssize_t high
) noexcept nogil:
    """Where `key` stands in keys[low:high], which ascend; -1: nowhere."""
    cdef Py_ssize_t place = _lower(keys, key, low, high)
    return place if place < high and keys[place] == key else -1


def select_top(
    const double[::1] scores,
    const integer[::1] start,
    const integer[::1] items,
    const key64[::1] tie_keys,
    Py_ssize_t n,
):
    cdef Py_ssize_t users = start.shape[0] - 1
    found = np.full((users, n), -1, dtype=np.int64)
    if not users or not n:
        return found
    cdef integer[:, ::1] chosen = found
    cdef Py_ssize_t user, place, count
    cdef Ranked value
    if start[0] < 0 or start[users] > scores.shape[0] or scores.shape[0] != items.shape[0]:
        raise ValueError("columns of unequal length")
    cdef Ranked* heap = <Ranked*>malloc(n * sizeof(Ranked))
    if heap is NULL:
        raise MemoryError
    try:
        for user in range(users):
            count = 0
            for place in range(start[user], start[user + 1]):
                value.score = scores[place]
                if not value.score > -INFINITY:
                    continue
                if not 0 <= items[place] < tie_keys.shape[0]:
                    raise IndexError("an item without a number")
                value.tie = tie_keys[items[place]]
                value.place = place
                count = _offer(heap, count, n, value)
            _best_first(heap, count)
            for place in range(count):
                chosen[user, place] = heap[place].place
    finally:
        free(heap)
    return found


def find_ascending(const integer[::1] ascending, const integer[::1] wanted):
    cdef Py_ssize_t place = 0
    cdef Py_ssize_t count = 0
    cdef Py_ssize_t number
    found = np.empty(wanted.shape[0], dtype=np.int64)
    cdef integer[::1] positions = found
    for number in range(wanted.shape[0]):
        while place < ascending.shape[0] and ascending[place] < wanted[number]:
            place += 1
        if place == ascending.shape[0]:
            break
        if ascending[place] == wanted[number]:
            positions[count] = place
            count += 1
    return found[:count]


def relative_exponents(
    const double[:, ::1] segments,
    const integer[::1] segment_counts,
    const integer[::1] rows,
    const double[::1] now_ms,
):
    cdef Py_ssize_t pairs = rows.shape[0]
    found = np.empty(segments.shape[0])
    cdef double[::1] exponents = found
    cdef Py_ssize_t pair, segment
    cdef Py_ssize_t begin = 0
    cdef Py_ssize_t end
    cdef double largest, now
    for pair in range(pairs):
        end = begin + segment_counts[pair]
        if end > segments.shape[0] or not 0 <= rows[pair] < now_ms.shape[0]:
            raise IndexError("pairs and segments do not fit")
        now = now_ms[rows[pair]]
        largest = -INFINITY
        for segment in range(begin, end):
            exponents[segment] = segments[segment, 1] - now / segments[segment, 2]
            largest = max(largest, exponents[segment])
        for segment in range(begin, end):
            exponents[segment] -= largest
        begin = end
    return found


def scale_edges(
    integer[::1] keys,
    double[::1] contributions,
    const integer[::1] degrees,
    const integer[::1] rows,
    const double[:, ::1] segments,
    const integer[::1] segment_counts,
    exponents,
    const double[::1] importance,
):
    cdef const double[::1] scales = np.exp2(exponents)  # the same bits as in NumPy
    cdef Py_ssize_t segment = 0
    cdef Py_ssize_t edge = 0
    cdef Py_ssize_t pair, number, last, end
    cdef integer row
    cdef double total, scale
    for pair in range(rows.shape[0]):
        row = rows[pair] << ITEM_BITS
        last = segment + segment_counts[pair]
        if last > segments.shape[0]:
            raise IndexError("pairs and segments do not fit")
        total = 0.0
        for number in range(segment, last):
            total += scales[number] * segments[number, 3]
        for number in range(segment, last):
            scale = scales[number] * (importance[pair] / total)
            end = edge + <Py_ssize_t>segments[number, 0]
            if end > keys.shape[0] or end > contributions.shape[0]:
                raise IndexError("segments and edges do not fit")
            while edge < end:
                keys[edge] |= row
                contributions[edge] *= scale
                edge += 1
        segment = last


def group_entries(const integer[::1] sorted_keys, const integer[::1] entries, columns):
    cdef Py_ssize_t count = sorted_keys.shape[0]
    cdef Py_ssize_t groups = 0
    cdef Py_ssize_t place, group, before
    cdef integer number
    if entries.shape[0] != count:
        raise ValueError("columns of unequal length")
    made_keys = np.empty(count, dtype=np.int64)
    made_start = np.empty(count + 1, dtype=np.int64)
    cdef integer[::1] keys = made_keys
    cdef integer[::1] start = made_start
    cdef const double[::1] values
    cdef double[::1] sums
    for place in range(count):
        if not place or sorted_keys[place] != sorted_keys[place - 1]:
            keys[groups] = sorted_keys[place]
            start[groups] = place
            groups += 1
    start[groups] = count
    made_sums = []
    for column, first in columns:
        values, before = column, first
        of_groups = np.zeros(groups)
        sums = of_groups
        for group in range(groups):
            for place in range(start[group], start[group + 1]):
                number = entries[place] - before
                if 0 <= number < values.shape[0]:
                    sums[group] += values[number]
        made_sums.append(of_groups)
    return Grouped(made_keys[:groups], made_start[: groups + 1], np.asarray(entries), made_sums)


def blend_top(pool, others, encoded, places):
    cdef const integer[::1] keys = pool.keys
    cdef const integer[::1] candidate_items = pool.items
    cdef const double[::1] candidate_prior = pool.prior
    cdef const integer[:, ::1] chosen = pool.chosen
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
    cdef Py_ssize_t scored, column, place, low, high, count
    cdef integer row, item, position, key
    cdef double floor, log_prob, prior, lift, whole
    cdef Ranked value
    if (
        candidate_items.shape[0] != keys.shape[0]
        or candidate_prior.shape[0] != keys.shape[0]
        or log_probs.shape[0] != rows.shape[0]
        or log_probs.shape[1] != columns
        or best_items.shape[0] != rows.shape[0]
        or best_log_probs.shape[0] != rows.shape[0]
        or best_log_probs.shape[1] != best
        or scores.shape[1] != size
        or positions.shape[1] != size
        or sequence.shape[1] != size
    ):
        raise ValueError("columns of unequal length")
    cdef Ranked* heap = <Ranked*>malloc((size + 1) * sizeof(Ranked))
    cdef double* priors = <double*>malloc((columns + best + 1) * sizeof(double))
    cdef double* logs = <double*>malloc((columns + best + 1) * sizeof(double))
    cdef integer* where = <integer*>malloc((columns + best + 1) * sizeof(integer))
    try:
        if heap is NULL or priors is NULL or logs is NULL or where is NULL:
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
                item = candidate_items[position]
                if not 0 <= item < tie_keys.shape[0]:
                    raise IndexError("an item without a number")
                prior = candidate_prior[position]
                log_prob = log_probs[scored, column]
                if not isfinite(log_prob):
                    log_prob = floor
                    prior += unknown
                priors[column], logs[column], where[column] = prior, log_prob, position
                value.score = prior + weight * log_prob
                value.tie = tie_keys[item]
                value.place = column
                if value.score > -INFINITY and size:
                    count = _offer(heap, count, size, value)
            # The candidates of this user stand together.
            low = _lower(keys, row << ITEM_BITS, 0, keys.shape[0])
            high = _lower(keys, (row + 1) << ITEM_BITS, low, keys.shape[0])
            for column in range(best):
                item = best_items[scored, column]
                if item < 0 or item >= tie_keys.shape[0]:
                    continue
                if item < unavailable.shape[0] and unavailable[item]:
                    continue
                key = (row << ITEM_BITS) | item
                position = _find(keys, key, low, high)
                if position >= 0:
                    if is_base[position]:
                        continue
                    prior = candidate_prior[position]
                elif _find(excluded, key, 0, excluded.shape[0]) >= 0:
                    continue
                else:
                    prior = popular[item] if item < popular.shape[0] else 0.0
                    if _find(repeated, key, 0, repeated.shape[0]) >= 0:
                        prior -= penalty
                log_prob = best_log_probs[scored, column]
                if not isfinite(log_prob):
                    log_prob = floor
                place = columns + column
                priors[place], logs[place], where[place] = prior, log_prob, position
                value.score = prior + weight * log_prob
                value.tie = tie_keys[item]
                value.place = place
                if value.score > -INFINITY and size:
                    count = _offer(heap, count, size, value)
            _best_first(heap, count)
            for place in range(size):
                if place >= count:
                    items[row, place], positions[row, place] = -1, -1
                    scores[row, place], sequence[row, place] = -INFINITY, 0.0
                    continue
                column = heap[place].place
                if column < columns:
                    items[row, place] = candidate_items[where[column]]
                else:
                    items[row, place] = best_items[scored, column - columns]
                scores[row, place] = heap[place].score
                positions[row, place] = where[column]
                lift = max(weight * (logs[column] - floor), 0.0)
                whole = lift + max(priors[column], 0.0)
                sequence[row, place] = lift / whole if whole > 0.0 else 0.0
    finally:
        free(heap)
        free(priors)
        free(logs)
        free(where)


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


cdef struct Reader:
    const unsigned char* data
    Py_ssize_t at
    Py_ssize_t end
    bint failed


cdef inline key64 _number(Reader* reader, int size) noexcept nogil:
    """A big-endian number of so many bytes."""
    cdef key64 value = 0
    cdef int place
    if reader.end - reader.at < size:
        reader.failed = True
        return 0
    for place in range(size):
        value = value << 8 | reader.data[reader.at + place]
    reader.at += size
    return value


cdef inline integer _integer(Reader* reader) noexcept nogil:
    cdef int head = <int>_number(reader, 1)
    if head < 0x80:
        return head
    if head >= 0xE0:
        return head - 0x100
    if 0xCC <= head <= 0xCF:
        return <integer>_number(reader, 1 << (head - 0xCC))
    if head == 0xD0:
        return <signed char>_number(reader, 1)
    if head == 0xD1:
        return <short>_number(reader, 2)
    if head == 0xD2:
        return <int>_number(reader, 4)
    if head == 0xD3:
        return <integer>_number(reader, 8)
    reader.failed = True
    return 0


cdef inline Py_ssize_t _size(Reader* reader, int low, int high, int wide) noexcept nogil:
    """Of a container: its head holds sizes up to high - low, or is `wide` for two bytes of size
    and the next for four.
    """
    cdef int head = <int>_number(reader, 1)
    if low <= head <= high:
        return head - low
    if head == wide:
        return _number(reader, 2)
    if head == wide + 1:
        return _number(reader, 4)
    reader.failed = True
    return 0


cdef inline Py_ssize_t _skip(Reader* reader, Py_ssize_t size) noexcept nogil:
    """Pass over so many bytes; returns where they begin."""
    cdef Py_ssize_t begin = reader.at
    if size > reader.end - reader.at:
        reader.failed = True
        return begin
    reader.at += size
    return begin


cdef inline Py_ssize_t _text_size(Reader* reader) noexcept nogil:
    if reader.at < reader.end and reader.data[reader.at] == 0xD9:
        reader.at += 1
        return _number(reader, 1)
    return _size(reader, 0xA0, 0xBF, 0xDA)


cdef inline Py_ssize_t _bytes_size(Reader* reader) noexcept nogil:
    cdef int head = <int>_number(reader, 1)
    if not 0xC4 <= head <= 0xC6:
        reader.failed = True
        return 0
    return _number(reader, 1 << (head - 0xC4))


def edge_spans(bytes blob, Py_ssize_t start):
    cdef Reader reader
    cdef Py_ssize_t types, size, begin, end, weights, last_ms, number, name
    cdef integer base
    cdef key64 bits
    cdef double half_life_ms
    reader.data = <const unsigned char*>blob
    reader.at, reader.end, reader.failed = start, len(blob), start < 0
    if reader.failed or _size(&reader, 0x90, 0x9F, 0xDC) != 2:
        return None
    for number in range(_size(&reader, 0x80, 0x8F, 0xDE)):  # the watermarks
        if reader.failed:
            return None
        _integer(&reader)
        _integer(&reader)
    types = _size(&reader, 0x80, 0x8F, 0xDE)
    found = []
    while types and not reader.failed:
        types -= 1
        size = _text_size(&reader)
        name = _skip(&reader, size)
        if reader.failed:
            return None
        try:
            event_type = blob[name : name + size].decode()
        except UnicodeDecodeError:
            return None
        if _size(&reader, 0x90, 0x9F, 0xDC) != 6:
            return None
        base = _integer(&reader)
        if _number(&reader, 1) != 0xCB:
            return None
        bits = _number(&reader, 8)
        memcpy(&half_life_ms, &bits, sizeof(double))
        size = _size(&reader, 0x90, 0x9F, 0xDC)
        begin = reader.at
        for number in range(size):
            if reader.failed:
                return None
            _skip(&reader, _text_size(&reader))
        end = reader.at
        if _bytes_size(&reader) != 8 * size:
            return None
        weights = _skip(&reader, 8 * size)
        if _bytes_size(&reader) != 8 * size:
            return None
        last_ms = _skip(&reader, 8 * size)
        for number in range(_size(&reader, 0x90, 0x9F, 0xDC)):  # the counts
            if reader.failed:
                return None
            _integer(&reader)
        if not half_life_ms > 0.0:
            return None
        found.append((event_type, base, half_life_ms, size, begin, end, weights, last_ms))
    return None if reader.failed or reader.at != reader.end else found
