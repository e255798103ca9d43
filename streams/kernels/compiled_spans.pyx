# cython: language_level=3, binding=False, boundscheck=False, wraparound=False, cdivision=True
"""Where edges stand in a stored item, read byte by byte: what `streams.kernels.pure_spans` says."""

from libc.string cimport memcpy

ctypedef long long integer
ctypedef unsigned long long key64


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
