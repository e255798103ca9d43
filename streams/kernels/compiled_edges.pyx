# cython: language_level=3, binding=False, boundscheck=False, wraparound=False, cdivision=True
"""Edges compiled, from stored items, read byte by byte, to the columns of a batch: to the bit what
`streams.kernels.pure_edges` does, which says what that is, and how packed edges are laid out. No
product is fused with a sum (see the build). What comes from outside is checked.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport INFINITY
from libc.string cimport memcmp, memcpy

import numpy as np

from streams.kernels.integers cimport ITEM_BITS, integer, key64
from streams.kernels.msgpack_reader cimport (
    Reader,
    bytes_size,
    read_integer,
    read_number,
    container_size,
    skip_bytes,
    text_size,
)

cdef int MAX_TYPES = 64  # an item with edges of more event types is read otherwise

cdef struct Span:
    double base
    double half_life_ms
    double total
    Py_ssize_t size
    Py_ssize_t begin
    Py_ssize_t end
    Py_ssize_t weights
    integer newest_seconds
    Py_ssize_t ages
    int age_bytes
    Py_ssize_t known
    const unsigned int* known_numbers
    Py_ssize_t rest


cdef struct Packed:
    const char* data
    Py_ssize_t segments
    Py_ssize_t edges


cdef inline const double* _segment(const Packed* packed, Py_ssize_t number) noexcept nogil:
    return <const double*>(packed.data + 16) + 4 * number


cdef inline integer* _times(const Packed* packed) noexcept nogil:
    return <integer*>(packed.data + 16 + 32 * packed.segments)


cdef inline float* _weights(const Packed* packed) noexcept nogil:
    return <float*>(_times(packed) + packed.edges)


cdef inline unsigned int* _numbers(const Packed* packed) noexcept nogil:
    return <unsigned int*>(_weights(packed) + packed.edges)


cdef inline integer* _places(const Packed* packed) noexcept nogil:
    """Where the names of each segment begin and end in the item."""
    return <integer*>(_numbers(packed) + packed.edges)


cdef Packed _packed(bytes pair) except *:
    """Raises ValueError for what is no packed edges."""
    cdef Packed packed
    cdef Py_ssize_t number
    cdef Py_ssize_t edges = 0
    cdef Py_ssize_t size = PyBytes_GET_SIZE(pair)
    packed.data = PyBytes_AS_STRING(pair)
    packed.segments = packed.edges = 0
    if size >= 16:
        packed.segments = (<const integer*>packed.data)[0]
        packed.edges = (<const integer*>packed.data)[1]
    if not (
        0 < packed.segments <= size
        and 0 < packed.edges <= size
        and size == 16 + 48 * packed.segments + 16 * packed.edges
    ):
        raise ValueError("no packed edges")
    for number in range(packed.segments):
        if not 0.0 <= _segment(&packed, number)[0] <= size:
            raise ValueError("no packed edges")
        edges += <Py_ssize_t>_segment(&packed, number)[0]
    if edges != packed.edges:
        raise ValueError("no packed edges")
    return packed


cdef void _find_known(
    Reader* reader, bytes before, const Packed* packed, Span* span
) noexcept:
    """Pass over the names that a segment of an older state begins with too, and note their numbers.
    """
    cdef const integer* places = _places(packed)
    cdef const unsigned int* numbers = _numbers(packed)
    cdef Py_ssize_t number, size, begin, end
    span.known = 0
    for number in range(packed.segments):
        size = <Py_ssize_t>_segment(packed, number)[0]
        begin, end = places[2 * number], places[2 * number + 1]
        if (
            size <= span.size
            and 0 < begin < end <= PyBytes_GET_SIZE(before)
            and end - begin <= reader.end - reader.at
            and not memcmp(
                reader.data + reader.at, PyBytes_AS_STRING(before) + begin, end - begin
            )
        ):
            span.known, span.known_numbers = size, numbers
            reader.at += end - begin
            return
        numbers += size


cdef bint _find_spans(
    bytes blob,
    Py_ssize_t start,
    wanted,
    bytes before,
    const Packed* packed,
    Span* spans,
    Py_ssize_t* count,
) except *:
    """Where edges of wanted types stand; False for what this version does not store like that.

    before, packed: an older state, and its edges.
    """
    cdef Reader reader
    cdef Py_ssize_t types, size, number, name
    cdef key64 bits
    cdef float weight
    cdef Span span
    reader.data = <const unsigned char*>PyBytes_AS_STRING(blob)
    reader.at, reader.end, reader.failed = start, PyBytes_GET_SIZE(blob), start < 0
    count[0] = 0
    if reader.failed or container_size(&reader, 0x90, 0x9F, 0xDC) != 2:
        return False
    for number in range(container_size(&reader, 0x80, 0x8F, 0xDE)):  # the watermarks
        if reader.failed:
            return False
        read_integer(&reader)
        read_integer(&reader)
    types = container_size(&reader, 0x80, 0x8F, 0xDE)
    while types and not reader.failed:
        types -= 1
        size = text_size(&reader)
        name = skip_bytes(&reader, size)
        if reader.failed:
            return False
        try:
            event_type = blob[name : name + size].decode()
        except UnicodeDecodeError:
            return False
        if container_size(&reader, 0x90, 0x9F, 0xDC) != 7:
            return False
        span.base = <double>read_integer(&reader)
        if read_number(&reader, 1) != 0xCB:
            return False
        bits = read_number(&reader, 8)
        memcpy(&span.half_life_ms, &bits, sizeof(double))
        span.size = container_size(&reader, 0x90, 0x9F, 0xDC)
        span.begin = reader.at
        _find_known(&reader, before, packed, &span)
        span.rest = reader.at
        for number in range(span.known, span.size):
            if reader.failed:
                return False
            skip_bytes(&reader, text_size(&reader))
        span.end = reader.at
        if bytes_size(&reader) != 4 * span.size:
            return False
        span.weights = skip_bytes(&reader, 4 * span.size)
        span.newest_seconds = read_integer(&reader)
        size = bytes_size(&reader)
        span.age_bytes = <int>(size // span.size) if span.size else 1
        if size != span.age_bytes * span.size or not (
            1 <= span.age_bytes <= 4 or span.age_bytes == 8
        ):
            return False
        span.ages = skip_bytes(&reader, size)
        for number in range(container_size(&reader, 0x90, 0x9F, 0xDC)):  # the counts
            if reader.failed:
                return False
            read_integer(&reader)
        if reader.failed or not span.half_life_ms > 0.0:
            return False
        if event_type not in wanted:
            continue
        span.total = 0.0
        for number in range(span.size):
            memcpy(&weight, reader.data + span.weights + 4 * number, sizeof(float))
            span.total += weight
        if not span.total > 0.0:
            continue
        if count[0] == MAX_TYPES:
            return False
        spans[count[0]] = span
        count[0] += 1
    return not reader.failed and reader.at == reader.end


cdef void _read_times(const unsigned char* data, const Span* span, integer* last_ms) noexcept nogil:
    cdef Py_ssize_t number
    cdef int byte
    cdef key64 age
    cdef const unsigned char* at = data + span.ages
    for number in range(span.size):
        age = 0
        for byte in range(span.age_bytes):  # little-endian
            age |= <key64>at[byte] << (8 * byte)
        at += span.age_bytes
        last_ms[number] = <integer>(1000 * (<key64>span.newest_seconds - age))


def read_edges(bytes blob, Py_ssize_t start, wanted, index_all, before):
    cdef Span spans[64]
    cdef Reader reader
    cdef Packed made, older
    cdef Py_ssize_t count, number, place, size
    cdef Py_ssize_t done = 0
    cdef double* segment
    cdef unsigned int* numbers
    cdef integer* places
    cdef char* data
    cdef bytes older_blob
    older_blob = b""
    older.data, older.segments, older.edges = NULL, 0, 0
    if before is not None and before[1]:
        older_blob, older = before[0], _packed(before[1])
    if not _find_spans(blob, start, wanted, older_blob, &older, spans, &count):
        return None
    if not count:
        return b""
    made.segments, made.edges = count, 0
    for number in range(count):
        made.edges += spans[number].size
    packed = PyBytes_FromStringAndSize(NULL, 16 + 48 * made.segments + 16 * made.edges)
    data = PyBytes_AS_STRING(packed)
    made.data = data
    (<integer*>data)[0], (<integer*>data)[1] = made.segments, made.edges
    places = _places(&made)
    reader.data = <const unsigned char*>PyBytes_AS_STRING(blob)
    for number in range(count):
        size = spans[number].size
        segment = <double*>_segment(&made, number)
        segment[0], segment[1] = <double>size, spans[number].base
        segment[2], segment[3] = spans[number].half_life_ms, spans[number].total
        _read_times(reader.data, &spans[number], _times(&made) + done)
        memcpy(_weights(&made) + done, reader.data + spans[number].weights, 4 * size)
        places[2 * number], places[2 * number + 1] = spans[number].begin, spans[number].end
        numbers = _numbers(&made) + done
        place = spans[number].known
        if place:
            memcpy(numbers, spans[number].known_numbers, 4 * place)
        done += size
        if place == size:
            continue
        reader.at, reader.end, reader.failed = spans[number].rest, spans[number].end, False
        names = []
        while len(names) < size - place:
            begin = skip_bytes(&reader, text_size(&reader))
            try:
                names.append(blob[begin : reader.at].decode())
            except UnicodeDecodeError:
                return None
        for found in index_all(names):
            numbers[place] = found
            place += 1
    return packed


def join_edges(
    list pairs,
    const integer[::1] rows,
    const double[::1] now_ms,
    const double[::1] importance,
):
    cdef Py_ssize_t count = len(pairs)
    cdef Py_ssize_t segments = 0
    cdef Py_ssize_t edges = 0
    cdef Py_ssize_t pair, number, first, end, place
    cdef Packed packed
    cdef const double* segment
    cdef const float* weights
    cdef const unsigned int* numbers
    cdef double largest, total, scale
    cdef integer row
    if rows.shape[0] != count or importance.shape[0] != count:
        raise ValueError("columns of unequal length")
    for pair in range(count):
        packed = _packed(pairs[pair])
        segments += packed.segments
        edges += packed.edges
    made_exponents = np.empty(segments)
    cdef double[::1] exponents = made_exponents
    first = 0
    for pair in range(count):
        if not 0 <= rows[pair] < now_ms.shape[0]:
            raise IndexError("a pair of nobody")
        packed = _packed(pairs[pair])
        largest = -INFINITY
        for number in range(packed.segments):
            segment = _segment(&packed, number)
            exponents[first + number] = segment[1] - now_ms[rows[pair]] / segment[2]
            largest = max(largest, exponents[first + number])
        for number in range(packed.segments):
            exponents[first + number] -= largest
        first += packed.segments
    cdef const double[::1] scales = np.exp2(made_exponents)  # the same bits as in NumPy
    made_keys = np.empty(edges, dtype=np.int64)
    made_contributions = np.empty(edges)
    made_last_ms = np.empty(edges, dtype=np.int64)
    made_start = np.empty(count, dtype=np.int64)
    cdef integer[::1] keys = made_keys
    cdef double[::1] contributions = made_contributions
    cdef integer[::1] last_ms = made_last_ms
    cdef integer[::1] start = made_start
    cdef Py_ssize_t edge = 0
    first = 0
    for pair in range(count):
        packed = _packed(pairs[pair])
        start[pair] = edge
        row = rows[pair] << ITEM_BITS
        total = 0.0
        for number in range(packed.segments):
            total += scales[first + number] * _segment(&packed, number)[3]
        memcpy(&last_ms[edge], _times(&packed), 8 * packed.edges)
        numbers = _numbers(&packed)
        weights = _weights(&packed)
        place = 0
        for number in range(packed.segments):
            scale = scales[first + number] * (importance[pair] / total)
            end = place + <Py_ssize_t>_segment(&packed, number)[0]
            while place < end:
                keys[edge + place] = <integer>numbers[place] | row
                contributions[edge + place] = weights[place] * scale
                place += 1
        edge += packed.edges
        first += packed.segments
    return made_keys, made_contributions, made_last_ms, made_start
