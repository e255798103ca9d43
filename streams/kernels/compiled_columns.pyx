# cython: language_level=3, binding=False, boundscheck=False, wraparound=False, cdivision=True
"""Columns of transitions compiled: to the byte what `streams.kernels.pure_columns` does, which says
what that is. What comes from outside is checked before it is read.
"""

from cpython cimport array
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from streams.kernels.msgpack_reader cimport integer, key64

from streams.kernels.pure_columns import LATEST_MS, OFFSET_LIMIT, Columns

cdef integer latest_ms = LATEST_MS
cdef integer offset_limit = OFFSET_LIMIT
cdef array.array LONG = array.array("q")
cdef int COLUMNS = 7
cdef int KINDS = 3
cdef int BASED = 2
cdef int HEAD_BYTES = 35


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


def pack_columns(columns):
    cdef Column opened[7]
    cdef integer bases[7]
    cdef int widths[7]
    cdef int number, width
    cdef Py_ssize_t place
    cdef key64 widest
    cdef key64 base
    cdef const integer* data
    cdef unsigned char* at
    cdef Py_ssize_t size = HEAD_BYTES
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
        width = 1
        while width < 8 and widest >> (8 * width):
            width *= 2
        if number == KINDS and not widest:
            width = 0
        widths[number] = width
        size += width * opened[number].size
    packed = PyBytes_FromStringAndSize(NULL, size)
    at = <unsigned char*>PyBytes_AS_STRING(packed)
    at = _little(at, <key64>opened[0].size, 4)
    at = _little(at, <key64>opened[4].size, 4)
    at = _little(at, <key64>opened[5].size, 4)
    for number in range(BASED):
        at = _little(at, <key64>bases[number], 8)
    for number in range(COLUMNS):
        at = _little(at, <key64>widths[number], 1)
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
    cdef Py_ssize_t sizes[7]
    cdef int widths[7]
    cdef int number, width
    cdef Py_ssize_t place
    cdef Py_ssize_t wanted = HEAD_BYTES
    cdef key64 base, value
    cdef key64 largest = (1ULL << 63) - 1
    cdef integer bases[7]
    cdef array.array column
    cdef list made = []
    if size < HEAD_BYTES:
        return None
    for number in range(COLUMNS):
        sizes[number] = <Py_ssize_t>_value(at + (0 if number < 4 else 4 if number == 4 else 8), 4)
        bases[number] = <integer>_value(at + 12 + 8 * number, 8) if number < BASED else 0
        width = at[28 + number]
        if bases[number] < 0 or not (
            width == 1 or width == 2 or width == 4 or width == 8 or (not width and number == KINDS)
        ):
            return None
        widths[number] = width
        wanted += width * sizes[number]  # of less than 2^32 numbers each
    if size != wanted:
        return None
    at += HEAD_BYTES
    for number in range(COLUMNS):
        width = widths[number]
        column = array.clone(LONG, sizes[number], not width)
        made.append(column)
        base = <key64>bases[number]
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
