# cython: language_level=3, cdivision=True
"""The best of many: few of them by a heap whose root is the worst of those that are kept, many by
buckets.
"""

from libc.math cimport INFINITY

from streams.kernels.integers cimport integer, key64


cdef struct Ranked:
    double score
    key64 tie
    integer place


cdef inline bint worse(const Ranked* left, const Ranked* right) noexcept nogil:
    if left.score != right.score:
        return left.score < right.score
    if left.tie != right.tie:
        return left.tie > right.tie
    return left.place > right.place


cdef inline void sink(Ranked* heap, Py_ssize_t count, Ranked value) noexcept nogil:
    """Put a value at the root of a heap whose root is the worst, and let it sink."""
    cdef Py_ssize_t place = 0
    cdef Py_ssize_t child
    while True:
        child = 2 * place + 1
        if child >= count:
            break
        if child + 1 < count and worse(&heap[child + 1], &heap[child]):
            child += 1
        if not worse(&heap[child], &value):
            break
        heap[place] = heap[child]
        place = child
    heap[place] = value


cdef inline Py_ssize_t offer(
    Ranked* heap, Py_ssize_t count, Py_ssize_t bound, Ranked value
) noexcept nogil:
    """Keep the best `bound` values; returns how many there are now."""
    cdef Py_ssize_t place, parent
    if count == bound:
        if worse(&heap[0], &value):
            sink(heap, count, value)
        return count
    place = count
    while place:
        parent = (place - 1) // 2
        if not worse(&value, &heap[parent]):
            break
        heap[place] = heap[parent]
        place = parent
    heap[place] = value
    return count + 1


cdef inline void best_first(Ranked* heap, Py_ssize_t count) noexcept nogil:
    """Sort a heap whose root is the worst."""
    cdef Ranked worst
    while count > 1:
        count -= 1
        worst = heap[0]
        sink(heap, count, heap[count])
        heap[count] = worst


cdef enum:
    BUCKETS = 256
    FEW = 16  # so many are sorted soonest by inserting one after the other


cdef inline void _sort(Ranked* values, Py_ssize_t count) noexcept nogil:
    """Best first."""
    cdef Py_ssize_t number, place
    cdef Ranked value
    if count > FEW:
        for number in range(count):
            offer(values, number, count, values[number])
        best_first(values, count)
        return
    for number in range(1, count):
        value = values[number]
        place = number
        while place and worse(&values[place - 1], &value):
            values[place] = values[place - 1]
            place -= 1
        values[place] = value


cdef inline Py_ssize_t sort_best(
    const Ranked* values, Py_ssize_t count, Py_ssize_t bound, Ranked* best
) noexcept nogil:
    """Write the best `bound` of the values, best first, to `best`, which has room for them all;
    returns how many they are. A score is a number, and not -inf.

    The values are spread over buckets by their scores, and the buckets that are needed are sorted:
    where a third is kept of some hundreds, several times as fast as a heap. Scores that lie close
    together end in one bucket, which costs time and changes nothing.
    """
    cdef Py_ssize_t ends[BUCKETS]
    cdef Py_ssize_t number, bucket, begin, end
    cdef Py_ssize_t last = 0
    cdef double high, low, scale
    if count <= 0 or bound <= 0:
        return 0
    high = low = values[0].score
    for number in range(1, count):
        high = max(high, values[number].score)
        low = min(low, values[number].score)
    scale = (BUCKETS - 1) / (high - low) if high > low else 0.0
    if not 0.0 < scale < INFINITY:  # all are equal, or too far apart
        for number in range(count):
            best[number] = values[number]
        _sort(best, count)
        return min(count, bound)
    for bucket in range(BUCKETS):
        ends[bucket] = 0
    for number in range(count):
        ends[<Py_ssize_t>((high - values[number].score) * scale)] += 1
    begin = 0
    for bucket in range(BUCKETS):  # where it begins, for now
        end = begin + ends[bucket]
        ends[bucket] = begin
        if begin < bound:
            last = bucket
        begin = end
    for number in range(count):
        bucket = <Py_ssize_t>((high - values[number].score) * scale)
        if bucket <= last:
            best[ends[bucket]] = values[number]
            ends[bucket] += 1
    begin = 0
    for bucket in range(last + 1):
        _sort(best + begin, ends[bucket] - begin)
        begin = ends[bucket]
    return min(count, bound)
