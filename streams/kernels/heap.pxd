# cython: language_level=3, cdivision=True
"""The best of many: a heap whose root is the worst of those that are kept."""

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
