# cython: language_level=3, binding=False, boundscheck=False, wraparound=False, cdivision=True
"""The kernel of listed items and their reasons compiled: to the byte what
`streams.kernels.pure_reasons` does, which says what that is. Shares are rounded as NumPy rounds.
Indexes that come from outside are checked.

Ten items have some twenty reasons: to make an object of each, only to write and forget it, takes
longer than to choose the items.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport fabs, rint, signbit
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

from streams.kernels.integers cimport integer, key64
from streams.kernels.utf8 cimport PyUnicode_AsUTF8AndSize

import msgspec

from streams.kernels.pure_reasons import DIGITS, TREND_THRESHOLD, Written


cdef object _written = Written
cdef object _encode = msgspec.json.Encoder().encode
cdef double TRENDS_FROM = TREND_THRESHOLD
cdef double SHARES = 10.0**DIGITS
cdef double SMALL_SHARES = 10.0 ** (DIGITS + 2)
cdef double TOLD = 1e6  # a number with at most so many parts of one is written here
cdef double LARGEST = 1e9
cdef double SMALLEST = 1e-5  # below that there is an exponent


cdef struct Writer:
    char* data
    Py_ssize_t size
    Py_ssize_t room


cdef inline int _need(Writer* writer, Py_ssize_t size) except -1:
    cdef Py_ssize_t room = writer.room
    cdef char* data
    if writer.size + size <= room:
        return 0
    while room < writer.size + size:
        room *= 2
    data = <char*>realloc(writer.data, room)
    if data is NULL:
        raise MemoryError
    writer.data, writer.room = data, room
    return 0


cdef inline int _put(Writer* writer, const char* text, Py_ssize_t size) except -1:
    _need(writer, size)
    memcpy(writer.data + writer.size, text, size)
    writer.size += size
    return 0


cdef int _put_encoded(Writer* writer, value) except -1:
    """What is seldom, as msgspec writes it."""
    cdef bytes text = _encode(value)
    return _put(writer, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))


cdef int _put_text(Writer* writer, value) except -1:
    cdef Py_ssize_t size, place
    cdef const char* text
    cdef char* at
    cdef unsigned char byte
    text = PyUnicode_AsUTF8AndSize(value, &size)
    _need(writer, size + 2)
    at = writer.data + writer.size
    at[0] = c'"'
    for place in range(size):
        byte = <unsigned char>text[place]
        if byte < 0x20 or byte == c'"' or byte == c"\\":
            return _put_encoded(writer, value)
        at[1 + place] = <char>byte
    at[1 + size] = c'"'
    writer.size += size + 2
    return 0


cdef int _put_natural(Writer* writer, key64 value) except -1:
    cdef char digits[20]
    cdef int first = 20
    while True:
        first -= 1
        digits[first] = <char>(c"0" + value % 10)
        value //= 10
        if not value:
            break
    return _put(writer, digits + first, 20 - first)


cdef int _put_number(Writer* writer, double value) except -1:
    """The shortest text of a number. One with few digits is that text itself."""
    cdef double size = fabs(value)
    cdef double parts = rint(size * TOLD)
    cdef key64 fraction
    cdef char digits[6]
    cdef int place
    if not (
        size < LARGEST
        and parts / TOLD == size
        and (size >= SMALLEST or (size == 0.0 and not signbit(value)))
    ):
        return _put_encoded(writer, value)
    if value < 0.0:
        _put(writer, b"-", 1)
    _put_natural(writer, <key64>parts // 1_000_000)
    fraction = <key64>parts % 1_000_000
    for place in range(6):
        digits[5 - place] = <char>(c"0" + fraction % 10)
        fraction //= 10
    place = 6
    while place > 1 and digits[place - 1] == c"0":
        place -= 1
    _put(writer, b".", 1)
    return _put(writer, digits, place)


cdef inline double _rounded(double value, double scale) noexcept nogil:
    return rint(value * scale) / scale


cdef inline double _age_seconds(integer then_ms, integer now_ms) noexcept nogil:
    if then_ms >= now_ms:
        return 0.0
    return <double>(<key64>now_ms - <key64>then_ms) / 1000.0


cdef inline double _at(const double[::1] values, integer place) noexcept nogil:
    return values[place] if 0 <= place < values.shape[0] else 0.0


cdef int _begin_reason(Writer* writer, const char* code, Py_ssize_t size, bint* is_first) except -1:
    if not is_first[0]:
        _put(writer, b",", 1)
    is_first[0] = False
    _put(writer, b'{"code":"', 9)
    _put(writer, code, size)
    return _put(writer, b'"', 1)


cdef inline int _put_item_id(Writer* writer, item_id) except -1:
    if item_id is None:  # what is absent is not written
        return 0
    _put(writer, b',"item_id":', 11)
    return _put_text(writer, item_id)


cdef inline int _put_weight(Writer* writer, double weight) except -1:
    _put(writer, b',"weight":', 10)
    return _put_number(writer, weight)


cdef inline int _put_age(Writer* writer, integer then_ms, integer now_ms) except -1:
    _put(writer, b',"age_seconds":', 15)
    return _put_number(writer, _age_seconds(then_ms, now_ms))


def write_items(listed, known, list readers, double new_item_ms):
    cdef const integer[::1] items = listed.items
    cdef const integer[::1] positions = listed.positions
    cdef const integer[::1] path_source = listed.paths.source
    cdef const double[::1] path_share = listed.paths.share
    cdef const integer[::1] path_last_ms = listed.paths.last_ms
    cdef const double[::1] scores = listed.scores
    cdef const double[::1] sequence = listed.sequence
    cdef const double[::1] popularity = known.popularity
    cdef const double[::1] trends = known.trends
    cdef const integer[::1] announced = known.announced_ms
    cdef const double[::1] own = None
    cdef const unsigned char[::1] from_text = None
    cdef Py_ssize_t count = items.shape[0]
    cdef Py_ssize_t places = count // max(1, len(readers))
    cdef Py_ssize_t number, place, first, source
    cdef integer now_ms, announced_ms, item
    cdef double share
    cdef bint tells_text, is_new, is_first, is_personal
    cdef Writer writer
    cdef list made = []
    if known.own is not None:
        own = known.own
    if listed.from_text is not None:
        from_text = listed.from_text.view("u1")
    if (
        not count == positions.shape[0] == path_source.shape[0] == path_share.shape[0]
        or not count == path_last_ms.shape[0] == sequence.shape[0] == scores.shape[0]
        or (from_text is not None and from_text.shape[0] != count)
    ):
        raise ValueError("columns of unequal length")
    writer.room = 4096
    writer.data = <char*>malloc(writer.room)
    try:
        if writer.data is NULL:
            raise MemoryError
        for number in range(len(readers)):
            names, titles, sources, last_seen_ms, last_item, now = readers[number]
            now_ms = now
            first = number * places
            if len(names) > places:
                raise ValueError("more names than places")
            if len(titles) != len(names):
                raise ValueError("columns of unequal length")
            writer.size = 0
            is_personal = False
            _put(&writer, b"[", 1)
            for place in range(first, first + len(names)):
                item = items[place]
                if not 0 <= item < announced.shape[0]:
                    raise IndexError("an item without a number")
                name = names[place - first]
                if place > first:
                    _put(&writer, b",", 1)
                _put(&writer, b'{"item_id":', 11)
                _put_text(&writer, name)
                _put(&writer, b',"rank":', 8)
                _put_natural(&writer, <key64>(place - first + 1))
                _put(&writer, b',"score":', 9)
                _put_number(&writer, scores[place])
                _put(&writer, b',"title":', 9)
                _put_text(&writer, titles[place - first])
                _put(&writer, b',"reasons":[', 12)
                is_first = True
                source = path_source[place]
                if source >= 0:
                    if source >= len(sources):
                        raise IndexError("a source that is none")
                    is_personal = True
                    _begin_reason(&writer, b"CO_CLICKED", 10, &is_first)
                    _put_item_id(&writer, sources[source])
                    _put_weight(&writer, _rounded(path_share[place], SHARES))
                    _put_age(&writer, path_last_ms[place], now_ms)
                    _put(&writer, b"}", 1)
                share = _rounded(sequence[place], SHARES)
                if share > 0.0:
                    _begin_reason(&writer, b"SEQUENCE", 8, &is_first)
                    _put_item_id(&writer, last_item)
                    _put(&writer, b',"delta":', 9)
                    _put_number(&writer, share)
                    _put(&writer, b"}", 1)
                if own is not None and positions[place] >= 0:
                    if positions[place] >= own.shape[0]:
                        raise IndexError("a position that is no candidate")
                    share = _rounded(own[positions[place]], SHARES)
                    if share > 0.0:
                        is_personal = True
                        _begin_reason(&writer, b"OWN_HISTORY", 11, &is_first)
                        _put_item_id(&writer, name)
                        _put_weight(&writer, share)
                        _put_age(&writer, last_seen_ms.get(name, now), now_ms)
                        _put(&writer, b"}", 1)
                if is_first:
                    _begin_reason(&writer, b"POPULAR", 7, &is_first)
                    _put_weight(&writer, _rounded(_at(popularity, item), SMALL_SHARES))
                    _put(&writer, b"}", 1)
                if _at(trends, item) >= TRENDS_FROM:
                    _begin_reason(&writer, b"TRENDING", 8, &is_first)
                    _put(&writer, b"}", 1)
                announced_ms = announced[item]
                tells_text = from_text is not None and from_text[place]
                is_new = (
                    announced_ms != 0
                    and announced_ms <= now_ms
                    and <double>(<key64>now_ms - <key64>announced_ms) < new_item_ms
                )
                if tells_text or is_new:
                    _begin_reason(&writer, b"NEW_ITEM", 8, &is_first)
                    if announced_ms:
                        _put_age(&writer, announced_ms, now_ms)
                    _put(&writer, b"}", 1)
                _put(&writer, b"]}", 2)
            _put(&writer, b"]", 1)
            made.append(
                _written(PyBytes_FromStringAndSize(writer.data, writer.size), is_personal)
            )
    finally:
        free(writer.data)
    return made
