# cython: language_level=3, binding=False, boundscheck=False, wraparound=False, cdivision=True
"""Items compiled: what is stored of one, to the byte what `streams.graph` makes of it in Python.

An item is stored in every round that changes it, which is several times for each click; in Python
each of its event types costs as much as all of its edges here.
"""

from cpython cimport array
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Next
from cpython.object cimport PyObject
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from streams.kernels.integers cimport integer, key64
from streams.kernels.utf8 cimport PyUnicode_AsUTF8AndSize


cdef inline char* _copy(char* at, const void* data, Py_ssize_t size) noexcept nogil:
    memcpy(at, data, size)
    return at + size


cdef inline char* _head(char* at, int head, key64 value, int size) noexcept nogil:
    """One byte, then a big-endian number of so many bytes."""
    at[0] = <char>head
    at += 1
    while size:
        size -= 1
        at[0] = <char>(value >> (8 * size) & 0xFF)
        at += 1
    return at


cdef inline char* _natural(char* at, key64 value) noexcept nogil:
    if value < 0x80:
        return _head(at, <int>value, 0, 0)
    if value < 0x100:
        return _head(at, 0xCC, value, 1)
    if value < 0x10000:
        return _head(at, 0xCD, value, 2)
    if not value >> 32:
        return _head(at, 0xCE, value, 4)
    return _head(at, 0xCF, value, 8)


cdef inline char* _whole(char* at, integer value) noexcept nogil:
    if value >= 0:
        return _natural(at, <key64>value)
    if value >= -0x20:
        return _head(at, <int>(value + 0x100), 0, 0)
    if value >= -0x80:
        return _head(at, 0xD0, <key64>value, 1)
    if value >= -0x8000:
        return _head(at, 0xD1, <key64>value, 2)
    if value >> 31 == -1:
        return _head(at, 0xD2, <key64>value, 4)
    return _head(at, 0xD3, <key64>value, 8)


cdef inline char* _sized(char* at, int low, int high, int wide, Py_ssize_t size) noexcept nogil:
    """The head of a container: in one byte, or `wide` for two bytes of size and the next for four.
    """
    if size <= high - low:
        return _head(at, low + <int>size, 0, 0)
    if size < 0x10000:
        return _head(at, wide, <key64>size, 2)
    return _head(at, wide + 1, <key64>size, 4)


cdef inline char* _text(char* at, const char* text, Py_ssize_t size) noexcept nogil:
    if 0x20 <= size < 0x100:
        at = _head(at, 0xD9, <key64>size, 1)
    else:
        at = _sized(at, 0xA0, 0xBF, 0xDA, size)
    return _copy(at, text, size)


cdef inline char* _head_of_column(char* at, Py_ssize_t size) noexcept nogil:
    if size < 0x100:
        return _head(at, 0xC4, <key64>size, 1)
    if size < 0x10000:
        return _head(at, 0xC5, <key64>size, 2)
    return _head(at, 0xC6, <key64>size, 4)


cdef inline char* _column(char* at, const void* data, Py_ssize_t size) noexcept nogil:
    return _copy(_head_of_column(at, size), data, size)


cdef char* _ages(char* at, const integer* seconds, Py_ssize_t size) noexcept nogil:
    """The newest time, and how much older each is, in as many bytes as the oldest takes."""
    cdef Py_ssize_t place
    cdef int width, byte
    cdef key64 age, oldest
    cdef integer newest = seconds[0] if size else 0
    oldest = 0
    for place in range(size):
        if seconds[place] > newest:
            newest = seconds[place]
    for place in range(size):
        age = <key64>newest - <key64>seconds[place]
        if age > oldest:
            oldest = age
    width = 1
    while width < 5 and oldest >> (8 * width):
        width += 1
    if width == 5:
        width = 8
    at = _head_of_column(_whole(at, newest), width * size)
    for place in range(size):
        age = <key64>newest - <key64>seconds[place]
        for byte in range(width):  # little-endian
            at[0] = <char>(age >> (8 * byte) & 0xFF)
            at += 1
    return at


cdef tuple _pack_names(dict slots, Py_ssize_t known, bytes before):
    """Append names from the place `known` on to those that are packed: (slots, how many, bytes)."""
    cdef PyObject* name
    cdef PyObject* slot
    cdef Py_ssize_t length
    cdef Py_ssize_t size = PyBytes_GET_SIZE(before)
    cdef Py_ssize_t bound = size
    cdef Py_ssize_t place = known
    cdef Py_ssize_t position = known
    # Nothing is ever taken out of the dictionary, so the names stand at their slots.
    while PyDict_Next(slots, &position, &name, &slot):
        if <Py_ssize_t><object>slot != place:
            raise ValueError("slots out of order")
        PyUnicode_AsUTF8AndSize(<object>name, &length)
        bound += length + 5
        place += 1
    if place != len(slots):
        raise ValueError("slots out of order")
    packed = PyBytes_FromStringAndSize(NULL, bound)
    cdef char* begin = PyBytes_AS_STRING(packed)
    cdef char* at = _copy(begin, PyBytes_AS_STRING(before), size)
    cdef const char* text
    position = known
    while PyDict_Next(slots, &position, &name, &slot):
        text = PyUnicode_AsUTF8AndSize(<object>name, &length)
        at = _text(at, text, length)
    return slots, place, packed[: at - begin]


cdef bytes _names(edges):
    """The names of edges in MessagePack. They are kept, because an item is stored again for every
    edge that changes, and its names lie all over the memory.
    """
    cdef dict slots = edges.slots
    cdef tuple packed = edges.packed_names
    if packed is None or packed[0] is not slots:
        packed = (slots, 0, b"")
    if <Py_ssize_t>packed[1] != len(slots):
        packed = _pack_names(slots, packed[1], packed[2])
        edges.packed_names = packed
    return packed[2]


cdef Py_ssize_t _bound(dict edges, list names, unsigned int* degree) except -1:
    """Most bytes that the edges take, and how many there are. Raises ValueError for misfits.

    names: gets those of each event type.
    """
    cdef Py_ssize_t size, length
    cdef Py_ssize_t bound = 0
    cdef Py_ssize_t count = 0
    cdef array.array weights, last_seconds, counts
    cdef bytes of_group
    for event_type, group in edges.items():
        weights, last_seconds, counts = group.weights, group.last_seconds, group.counts
        size = len(weights)
        if not size == len(last_seconds) == len(counts) == len(<dict>group.slots):
            raise ValueError("columns of unequal length")
        if weights.ob_descr.itemsize != 4 or last_seconds.ob_descr.itemsize != 8:
            raise ValueError("columns of another type")
        if counts.ob_descr.itemsize != 8:
            raise ValueError("columns of another type")
        PyUnicode_AsUTF8AndSize(event_type, &length)
        of_group = _names(group)
        names.append(of_group)
        bound += length + 64 + 21 * size + PyBytes_GET_SIZE(of_group)
        count += size
    degree[0] = <unsigned int>count
    return bound


def encode_edges(bytes head, dict watermarks, dict edges):
    cdef Py_ssize_t size, length, place
    cdef array.array weights, last_seconds, counts
    cdef unsigned int degree
    cdef key64 bits
    cdef double half_life_ms
    cdef const char* text
    cdef char* at
    cdef bytes of_group
    cdef list names = []
    size = _bound(edges, names, &degree) + PyBytes_GET_SIZE(head) + 16 + 18 * len(watermarks)
    cdef char* data = <char*>malloc(size)
    if data is NULL:
        raise MemoryError
    try:
        at = _copy(data, PyBytes_AS_STRING(head), PyBytes_GET_SIZE(head))
        for place in range(4):  # little-endian, as the head is
            at[0] = <char>(degree >> (8 * place) & 0xFF)
            at += 1
        at = _sized(at, 0x90, 0x9F, 0xDC, 2)
        at = _sized(at, 0x80, 0x8F, 0xDE, len(watermarks))
        for source, offset in watermarks.items():
            at = _whole(_whole(at, source), offset)
        at = _sized(at, 0x80, 0x8F, 0xDE, len(edges))
        for (event_type, group), of_group in zip(edges.items(), names):
            text = PyUnicode_AsUTF8AndSize(event_type, &length)
            at = _sized(_text(at, text, length), 0x90, 0x9F, 0xDC, 7)
            half_life_ms = group.half_life_ms
            memcpy(&bits, &half_life_ms, sizeof(double))
            at = _head(_whole(at, group.base), 0xCB, bits, 8)
            weights, last_seconds, counts = group.weights, group.last_seconds, group.counts
            size = len(weights)
            at = _sized(at, 0x90, 0x9F, 0xDC, size)
            at = _copy(at, PyBytes_AS_STRING(of_group), PyBytes_GET_SIZE(of_group))
            at = _column(at, weights.data.as_voidptr, 4 * size)
            at = _ages(at, last_seconds.data.as_longlongs, size)
            at = _sized(at, 0x90, 0x9F, 0xDC, size)
            for place in range(size):
                at = _natural(at, counts.data.as_ulonglongs[place])
        return PyBytes_FromStringAndSize(data, at - data)
    finally:
        free(data)
