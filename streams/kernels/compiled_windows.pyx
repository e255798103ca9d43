# cython: language_level=3, binding=False, boundscheck=False, wraparound=False
"""Windows compiled: the common case of `streams.window.fold`, for all clicks of a user in a batch.

Nearly every click is of the type and source of those before it, is new, has no place and arrives
in time. Such a one is appended here; at any other the kernel stops before it has changed anything,
and `fold` goes on.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from libc.string cimport memchr, memcmp, memcpy, memmove

from streams.kernels.arrivals cimport narrow
from streams.kernels.integers cimport integer
from streams.kernels.texts cimport same

from xxhash import xxh64_digest


cdef extern from "Python.h":
    int PyList_SetSlice(list items, Py_ssize_t low, Py_ssize_t high, PyObject* new) except -1

cdef integer _WIDTH = 1LL << 32
cdef integer _DAY_MS = 86_400_000

cdef enum:
    _ARRIVAL_BYTES = 8
    _REST_BYTES = 5


cdef inline void _put(unsigned char* at, integer number) noexcept nogil:
    at[0] = number & 0xFF
    at[1] = number >> 8 & 0xFF
    at[2] = number >> 16 & 0xFF
    at[3] = number >> 24 & 0xFF


cdef bint _remembers(bytearray tags, bytearray rests, const char* digest) noexcept:
    """Whether an event id of this hash is remembered."""
    cdef const char* first = PyByteArray_AS_STRING(tags)
    cdef const char* end = first + PyByteArray_GET_SIZE(tags)
    cdef const char* rest = PyByteArray_AS_STRING(rests)
    cdef const char* at = first
    while at < end:
        at = <const char*>memchr(at, <unsigned char>digest[0], end - at)
        if at is NULL:
            return False
        if not memcmp(rest + _REST_BYTES * (at - first), digest + 1, _REST_BYTES):
            return True
        at += 1
    return False


cdef int _append(bytearray column, const void* data, Py_ssize_t size) except -1:
    cdef Py_ssize_t before = PyByteArray_GET_SIZE(column)
    PyByteArray_Resize(column, before + size)
    memcpy(PyByteArray_AS_STRING(column) + before, data, size)
    return 0


cdef int _cut_front(bytearray column, Py_ssize_t size) except -1:
    cdef char* first = PyByteArray_AS_STRING(column)
    cdef Py_ssize_t kept = PyByteArray_GET_SIZE(column) - size
    memmove(first, first + size, kept)
    PyByteArray_Resize(column, kept)
    return 0


cdef list _predecessors(list items, PyObject* clicked, Py_ssize_t wanted):
    """The last items, nearest first, None for what stands nearer or is the clicked one; without the
    trailing Nones."""
    cdef Py_ssize_t count = PyList_GET_SIZE(items)
    cdef Py_ssize_t distance, nearer
    cdef PyObject* item
    cdef bint repeated
    cdef list found = []
    if wanted > count:
        wanted = count
    for distance in range(1, wanted + 1):
        item = <PyObject*>PyList_GET_ITEM(items, count - distance)
        repeated = same(item, clicked)
        nearer = 1
        while nearer < distance and not repeated:
            repeated = same(item, <PyObject*>PyList_GET_ITEM(items, count - nearer))
            nearer += 1
        found.append(None if repeated else <object>item)
    while found and found[PyList_GET_SIZE(found) - 1] is None:
        found.pop()
    return found


def fold_plain(
    window,
    user_id,
    list clicks,
    list positions,
    Py_ssize_t begin,
    list offsets,
    list times_ms,
    integer source,
    bounds,
    effect,
    list predecessors,
    list trials,
):
    cdef integer max_events, max_age_ms, max_predecessors, max_event_ids, graph_click_ms
    cdef integer base_ms = window.base_ms
    cdef integer newest = window.newest
    cdef integer base_offset = window.base_offset
    cdef integer watermark = window.watermark
    cdef integer influence_ms = window.influence_ms
    cdef bint late = window.late
    cdef list items = window.items
    cdef bytearray arrivals = window.arrivals
    cdef bytearray tags = window.id_tags
    cdef bytearray rests = window.id_rests
    cdef str event_type = window.event_type
    cdef Py_ssize_t count = PyList_GET_SIZE(items)
    cdef Py_ssize_t end = PyList_GET_SIZE(positions)
    cdef Py_ssize_t rows = PyList_GET_SIZE(clicks)
    cdef Py_ssize_t at, position, surplus
    cdef Py_ssize_t late_clicks = 0
    cdef integer arrived, time_ms, now_ms, cutoff_ms, time, full_ms
    cdef const char* hashed = NULL
    cdef bytes digest
    cdef unsigned char arrival[_ARRIVAL_BYTES]
    cdef bint links = effect is not None and <double>effect[0] != 0.0
    max_events, max_age_ms, max_predecessors, max_event_ids, graph_click_ms = bounds
    if window.extra is not None or window.source != source:
        return begin, 0
    if PyByteArray_GET_SIZE(arrivals) != _ARRIVAL_BYTES * count:
        raise ValueError("columns of unequal length")
    if PyByteArray_GET_SIZE(rests) != _REST_BYTES * PyByteArray_GET_SIZE(tags):
        raise ValueError("columns of unequal length")
    if not rows == len(offsets) == len(times_ms) == len(predecessors):
        raise ValueError("columns of unequal length")
    at = begin
    while at < end:
        position = positions[at]
        if not 0 <= position < rows:
            raise IndexError("no such click")
        click = clicks[position]
        if click is None or click.place_cell or click.event_type != event_type:
            break
        arrived = <integer>offsets[position] - base_offset
        time_ms = click.timestamp_ms
        time = time_ms - base_ms
        now_ms = times_ms[position]
        cutoff_ms = now_ms - max_age_ms
        if arrived <= watermark or time_ms < cutoff_ms:
            break
        if not (0 <= arrived < _WIDTH and 0 <= time < _WIDTH):
            break
        if base_ms < cutoff_ms and (
            late
            or count
            and base_ms + narrow(<unsigned char*>PyByteArray_AS_STRING(arrivals)) < cutoff_ms
        ):
            break
        full_ms = influence_ms
        if graph_click_ms and effect is not None:
            full_ms = max(influence_ms, now_ms) + graph_click_ms
            if full_ms - now_ms > _DAY_MS:
                break
        event_id = click.event_id
        if event_id is not None:
            digest = xxh64_digest((<str>event_id).encode())
            if PyBytes_GET_SIZE(digest) <= _REST_BYTES:
                raise ValueError("a hash of 64 bits is needed")
            hashed = PyBytes_AS_STRING(digest)
            if _remembers(tags, rests, hashed):
                break
            _append(tags, hashed, 1)
            _append(rests, hashed + 1, _REST_BYTES)
            surplus = PyByteArray_GET_SIZE(tags) - max_event_ids
            if surplus > 0:
                _cut_front(tags, surplus)
                _cut_front(rests, surplus * _REST_BYTES)
        item_id = click.item_id
        if effect is not None:
            predecessors[position] = (
                _predecessors(items, <PyObject*>item_id, max_predecessors) if links else []
            )
            trials.append((user_id, item_id))
        _put(arrival, time)
        _put(arrival + 4, arrived)
        _append(arrivals, arrival, _ARRIVAL_BYTES)
        items.append(item_id)
        count += 1
        surplus = count - max_events
        if surplus > 0:
            PyList_SetSlice(items, 0, surplus, NULL)
            _cut_front(arrivals, surplus * _ARRIVAL_BYTES)
            count -= surplus
        if time > newest:
            newest = time
        elif time < newest:
            late = True
            late_clicks += 1
        watermark = arrived
        influence_ms = full_ms
        at += 1
    if at > begin:
        window.watermark = watermark
        window.newest = newest
        window.late = late
        window.influence_ms = influence_ms
    return at, late_clicks
