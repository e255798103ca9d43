# cython: language_level=3, cdivision=True
"""Reads MessagePack in place, and never beyond its end: what it cannot read sets `failed`."""

from streams.kernels.integers cimport integer, key64


cdef struct Reader:
    const unsigned char* data
    Py_ssize_t at
    Py_ssize_t end
    bint failed


cdef inline key64 read_number(Reader* reader, int size) noexcept nogil:
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


cdef inline integer read_integer(Reader* reader) noexcept nogil:
    cdef int head = <int>read_number(reader, 1)
    if head < 0x80:
        return head
    if head >= 0xE0:
        return head - 0x100
    if 0xCC <= head <= 0xCF:
        return <integer>read_number(reader, 1 << (head - 0xCC))
    if head == 0xD0:
        return <signed char>read_number(reader, 1)
    if head == 0xD1:
        return <short>read_number(reader, 2)
    if head == 0xD2:
        return <int>read_number(reader, 4)
    if head == 0xD3:
        return <integer>read_number(reader, 8)
    reader.failed = True
    return 0


cdef inline Py_ssize_t container_size(Reader* reader, int low, int high, int wide) noexcept nogil:
    """Of a container: its head holds sizes up to high - low, or is `wide` for two bytes of size
    and the next for four.
    """
    cdef int head = <int>read_number(reader, 1)
    if low <= head <= high:
        return head - low
    if head == wide:
        return read_number(reader, 2)
    if head == wide + 1:
        return read_number(reader, 4)
    reader.failed = True
    return 0


cdef inline Py_ssize_t skip_bytes(Reader* reader, Py_ssize_t size) noexcept nogil:
    """Pass over so many bytes; returns where they begin."""
    cdef Py_ssize_t begin = reader.at
    if size > reader.end - reader.at:
        reader.failed = True
        return begin
    reader.at += size
    return begin


cdef inline Py_ssize_t text_size(Reader* reader) noexcept nogil:
    if reader.at < reader.end and reader.data[reader.at] == 0xD9:
        reader.at += 1
        return read_number(reader, 1)
    return container_size(reader, 0xA0, 0xBF, 0xDA)


cdef inline Py_ssize_t bytes_size(Reader* reader) noexcept nogil:
    cdef int head = <int>read_number(reader, 1)
    if not 0xC4 <= head <= 0xC6:
        reader.failed = True
        return 0
    return read_number(reader, 1 << (head - 0xC4))
