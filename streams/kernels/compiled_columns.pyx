# cython: language_level=3, binding=False, boundscheck=False, wraparound=False, cdivision=True
"""Columns of transitions compiled: to the byte what `streams.kernels.pure_columns` does, which says
what that is. What comes from outside is checked before it is read.
"""

from cpython cimport array
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

from streams.kernels.integers cimport integer, key64

from streams.instant import MAX_INSTANT_MS
from streams.kernels.pure_columns import OFFSET_LIMIT, Columns

cdef integer latest_ms = MAX_INSTANT_MS
cdef integer offset_limit = OFFSET_LIMIT
cdef array.array LONG = array.array("q")
cdef int COLUMNS = 7
cdef int KINDS = 3
cdef int BASED = 2
cdef int NATURAL_BYTES = 9


cdef struct Column:
    integer* data
    Py_ssize_t size


cdef int _open(object columns, Column* opened) except -1:
    """The memory of seven columns, which has to be held as long as it is used."""
    cdef array.array column
    cdef int number
    if not isinstance(columns, tuple) or len(columns) != COLUMNS:
        raise ValueError("not as many columns as there are")
    for number in range(COLUMNS):
        column = (<tuple>columns)[number]
        if column.ob_descr.typecode != c"q":
            raise ValueError("columns of another type")
        opened[number].data = column.data.as_longlongs
        opened[number].size = len(column)
    return 0


cdef inline unsigned char* _little(unsigned char* at, key64 value, int width) noexcept nogil:
    cdef int byte
    for byte in range(width):
        at[byte] = <unsigned char>(value >> (8 * byte) & 0xFF)
    return at + width


cdef inline key64 _value(const unsigned char* at, int width) noexcept nogil:
    cdef key64 value = 0
    cdef int byte
    for byte in range(width):
        value |= <key64>at[byte] << (8 * byte)
    return value


cdef inline unsigned char* _put_natural(unsigned char* at, key64 value) noexcept nogil:
    while value >= 0x80:
        at[0] = <unsigned char>(value & 0x7F | 0x80)
        value >>= 7
        at += 1
    at[0] = <unsigned char>value
    return at + 1


cdef inline bint _natural(
    const unsigned char* data, Py_ssize_t size, Py_ssize_t* at, integer* value
) noexcept nogil:
    """Reads a natural number; False where there is none."""
    cdef int number
    cdef unsigned char byte
    value[0] = 0
    for number in range(NATURAL_BYTES):
        if at[0] >= size:
            return False
        byte = data[at[0]]
        at[0] += 1
        value[0] |= <integer>(byte & 0x7F) << (7 * number)
        if byte < 0x80:
            return True
    return False


def pack_columns(columns):
    cdef Column opened[7]
    cdef integer bases[7]
    cdef int widths[7]
    cdef int number, width, code
    cdef Py_ssize_t place
    cdef key64 widest
    cdef key64 base
    cdef key64 shape = 0
    cdef const integer* data
    cdef unsigned char head[60]  # six numbers of at most ten bytes
    cdef unsigned char* at = head
    cdef Py_ssize_t size = 0
    _open(columns, opened)
    for number in range(COLUMNS):
        data = opened[number].data
        bases[number] = 0
        if number < BASED and opened[number].size:
            bases[number] = data[0]
            for place in range(1, opened[number].size):
                if data[place] < bases[number]:
                    bases[number] = data[place]
        base = <key64>bases[number]
        widest = 0
        for place in range(opened[number].size):
            widest |= <key64>data[place] - base
        code = (widest >> 8 != 0) + (widest >> 16 != 0) + (widest >> 32 != 0)
        widths[number] = 1 << code
        if number == KINDS and not widest:
            shape |= 1
            widths[number] = 0
        shape |= <key64>code << (1 + 2 * number)
        size += widths[number] * opened[number].size
    at = _put_natural(at, <key64>opened[0].size)
    at = _put_natural(at, <key64>opened[4].size)
    at = _put_natural(at, <key64>opened[5].size)
    for number in range(BASED):
        at = _put_natural(at, <key64>bases[number])
    at = _put_natural(at, shape)
    place = at - head
    packed = PyBytes_FromStringAndSize(NULL, place + size)
    at = <unsigned char*>PyBytes_AS_STRING(packed)
    memcpy(at, head, place)
    at += place
    for number in range(COLUMNS):
        data = opened[number].data
        base = <key64>bases[number]
        width = widths[number]
        if width == 1:
            for place in range(opened[number].size):
                at[place] = <unsigned char>(<key64>data[place] - base)
            at += opened[number].size
        elif width:
            for place in range(opened[number].size):
                at = _little(at, <key64>data[place] - base, width)
    return packed


def unpack_columns(bytes packed):
    cdef const unsigned char* at = <const unsigned char*>PyBytes_AS_STRING(packed)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(packed)
    cdef integer head[6]  # rows, items, links, two bases, shape
    cdef Py_ssize_t sizes[7]
    cdef int widths[7]
    cdef int number, width
    cdef Py_ssize_t place = 0
    cdef Py_ssize_t wanted = 0
    cdef key64 base, value
    cdef key64 largest = (1ULL << 63) - 1
    cdef array.array column
    cdef list made = []
    for number in range(6):
        if not _natural(at, size, &place, &head[number]):
            return None
    # A number takes a byte at least, but for kinds, which are as many as offsets.
    if head[0] > size or head[1] > size or head[2] > size or head[5] >> 15:
        return None
    at += place
    for number in range(COLUMNS):
        sizes[number] = <Py_ssize_t>head[0 if number < 4 else 1 if number == 4 else 2]
        widths[number] = 1 << (head[5] >> (1 + 2 * number) & 3)
        if number == KINDS and head[5] & 1:
            widths[number] = 0
        wanted += widths[number] * sizes[number]
    if size - place != wanted:
        return None
    for number in range(COLUMNS):
        width = widths[number]
        column = array.clone(LONG, sizes[number], not width)
        made.append(column)
        base = <key64>head[3 + number] if number < BASED else 0
        if not width:
            continue
        for place in range(sizes[number]):
            value = at[place] if width == 1 else _value(at + width * place, width)
            if value > largest - base:
                return None
            column.data.as_longlongs[place] = <integer>(value + base)
        at += width * sizes[number]
    return tuple.__new__(Columns, tuple(made))


cdef inline bint _within(const Column* column, integer lowest, integer highest) noexcept nogil:
    cdef Py_ssize_t place
    for place in range(column.size):
        if column.data[place] < lowest or column.data[place] > highest:
            return False
    return True


def columns_fit(columns, Py_ssize_t item_ids, Py_ssize_t event_types):
    cdef Column opened[7]
    cdef Py_ssize_t size, links, place, end, item
    cdef Py_ssize_t first = 0
    cdef const integer* rows
    cdef const integer* distances
    _open(columns, opened)
    size = opened[0].size
    links = opened[5].size
    if not opened[1].size == opened[2].size == opened[3].size == size or opened[6].size != links:
        return False
    for place in range(1, size):
        if opened[0].data[place] < opened[0].data[place - 1]:
            return False
    if not (
        _within(&opened[0], 0, offset_limit - 1)
        and _within(&opened[1], 0, latest_ms)
        and _within(&opened[2], 0, item_ids - 1)
        and _within(&opened[3], 0, event_types - 1)
        and _within(&opened[5], 0, size - 1)
        and opened[4].size <= item_ids
    ):
        return False
    rows, distances = opened[5].data, opened[6].data
    for item in range(opened[4].size):
        if not first < opened[4].data[item] <= links:
            return False
        end = <Py_ssize_t>opened[4].data[item]
        if distances[first] < 0:
            return False
        for place in range(first + 1, end):
            if distances[place] < 0 or rows[place] < rows[place - 1]:
                return False
            if rows[place] == rows[place - 1] and distances[place] <= distances[place - 1]:
                return False
        first = end
    return first == links
