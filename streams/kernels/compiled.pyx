# cython: language_level=3, binding=False
"""The kernels compiled: to the bit what `streams.kernels.pure` does, which says what that is.

Two things keep the bits the same: the same libm functions are called (see the build for the flags
that forbid the compiler to replace them), and no product is fused with a sum.
"""

from cpython cimport array
from cpython.dict cimport PyDict_GetItem, PyDict_SetItem
from cpython.list cimport PyList_GET_SIZE
from cpython.object cimport PyObject
from libc.stdlib cimport qsort
from libc.math cimport floor, ldexp, pow


def decay_terms(list times_ms, list weights, list half_lives_ms):
    cdef Py_ssize_t count = PyList_GET_SIZE(times_ms)
    cdef Py_ssize_t row
    cdef double age, power
    if len(weights) != count or len(half_lives_ms) != count:
        raise ValueError("columns of unequal length")
    cdef list powers = [None] * count
    cdef list mantissas = [None] * count
    for row in range(count):
        age = <double>(<long long>times_ms[row]) / <double>half_lives_ms[row]
        power = floor(age)
        powers[row] = <long long>power
        mantissas[row] = <double>weights[row] * pow(2.0, age - power)
    return powers, mantissas


def add_run(edges, clicks, list followers, Py_ssize_t position, Py_ssize_t max_edges, long long max_shift):
    cdef list items = clicks.items
    cdef list times_ms = clicks.times_ms
    cdef list mantissas = clicks.mantissas
    cdef list powers = clicks.powers
    cdef list event_types = clicks.event_types
    cdef dict slots = edges.slots
    cdef array.array weights = edges.weights
    cdef array.array last_seconds = edges.last_seconds
    cdef array.array counts = edges.counts
    cdef long long base = edges.base
    cdef Py_ssize_t end = PyList_GET_SIZE(followers)
    cdef Py_ssize_t place, row, slot
    cdef long long shift, seconds
    cdef double mantissa
    cdef PyObject* found
    event_type = event_types[<Py_ssize_t>followers[position]]
    for place in range(position, end, 2):
        row = followers[place]
        mantissa = mantissas[row]
        if mantissa == 0.0:
            continue
        other = event_types[row]
        if other is not event_type and other != event_type:
            return place
        shift = <long long>powers[row] - base
        if shift:
            if shift > max_shift:
                return place
            # Below that, any finite double is nothing; ldexp takes no wider number.
            mantissa = ldexp(mantissa, <int>max(shift, -100_000))
        mantissa = mantissa / <double>(<long long>followers[place + 1])
        item_id = items[row]
        seconds = <long long>times_ms[row] // 1000
        found = PyDict_GetItem(slots, item_id)
        if found is not NULL:
            slot = <Py_ssize_t><object>found
            weights.data.as_floats[slot] = <float>(<double>weights.data.as_floats[slot] + mantissa)
            counts.data.as_ulonglongs[slot] += 1
            if seconds > last_seconds.data.as_longlongs[slot]:
                last_seconds.data.as_longlongs[slot] = seconds
            continue
        slot = len(weights)
        PyDict_SetItem(slots, item_id, slot)
        array.resize_smart(weights, slot + 1)
        array.resize_smart(last_seconds, slot + 1)
        array.resize_smart(counts, slot + 1)
        weights.data.as_floats[slot] = <float>mantissa
        last_seconds.data.as_longlongs[slot] = seconds
        counts.data.as_ulonglongs[slot] = 1
        if slot + 1 > max_edges:
            return place + 2
    return end


def keep_edges(edges, list wanted):
    cdef array.array weights = edges.weights
    cdef array.array last_seconds = edges.last_seconds
    cdef array.array counts = edges.counts
    cdef Py_ssize_t place = 0
    cdef Py_ssize_t kept = 0
    cdef dict slots = {}
    if not len(weights) == len(last_seconds) == len(counts) == len(edges.slots) == len(wanted):
        raise ValueError("columns of unequal length")
    for item_id in <dict>edges.slots:
        if wanted[place]:
            slots[item_id] = kept
            weights.data.as_floats[kept] = weights.data.as_floats[place]
            last_seconds.data.as_longlongs[kept] = last_seconds.data.as_longlongs[place]
            counts.data.as_ulonglongs[kept] = counts.data.as_ulonglongs[place]
            kept += 1
        place += 1
    array.resize(weights, kept)
    array.resize(last_seconds, kept)
    array.resize(counts, kept)
    edges.slots = slots


cdef int _ascending(const void* left, const void* right) noexcept nogil:
    cdef float a = (<const float*>left)[0]
    cdef float b = (<const float*>right)[0]
    return (a > b) - (a < b)


def keep_strongest(edges, Py_ssize_t kept):
    cdef array.array weights = edges.weights
    cdef array.array last_seconds = edges.last_seconds
    cdef Py_ssize_t count = len(weights)
    cdef Py_ssize_t place, missing
    cdef float bar
    cdef list wanted = [False] * count
    if not 0 < kept < count or len(last_seconds) != count:
        raise ValueError("nothing to forget")
    cdef array.array ranked = array.copy(weights)
    qsort(ranked.data.as_floats, count, sizeof(float), _ascending)
    bar = ranked.data.as_floats[count - kept - 1]
    missing = kept
    for place in range(count):
        if weights.data.as_floats[place] > bar:
            wanted[place] = True
            missing -= 1
    if missing:
        ties = [
            (last_seconds[slot], item_id, slot)
            for item_id, slot in edges.slots.items()
            if weights[slot] == bar
        ]
        for _, _, place in sorted(ties)[-missing:]:
            wanted[place] = True
    keep_edges(edges, wanted)


cdef inline Py_ssize_t _row(batch, list offsets, offset, time_ms, item_id, event_type):
    """The row of a click in a batch, appended unless it is the last one already."""
    cdef Py_ssize_t rows = PyList_GET_SIZE(offsets)
    cdef list types
    if rows:
        last = offsets[rows - 1]
        if last is offset or last == offset:
            return rows - 1
        types = batch.event_types
        if types[0] is event_type and not batch.kinds:
            offsets.append(offset)
            (<list>batch.times_ms).append(time_ms)
            (<list>batch.items).append(item_id)
            return rows
    batch.add(offset, time_ms, item_id, event_type)
    return rows


cdef inline tuple _place(dict places, place_of, item_id):
    """Where an item's transitions go, made if it is not known."""
    cdef PyObject* found = PyDict_GetItem(places, item_id)
    cdef tuple place
    if found is not NULL:
        return <tuple>found
    place = place_of(item_id)
    PyDict_SetItem(places, item_id, place)
    return place


def link_clicks(list offsets, list clicks, list predecessors, dict places, place_of):
    cdef Py_ssize_t count = PyList_GET_SIZE(offsets)
    cdef Py_ssize_t number, row, distance
    cdef tuple place
    cdef list followers
    if PyList_GET_SIZE(clicks) != count or PyList_GET_SIZE(predecessors) != count:
        raise ValueError("columns of unequal length")
    for number in range(count):
        click = clicks[number]
        before = predecessors[number]
        if click is None or before is None:
            continue
        offset = offsets[number]
        item_id = click.item_id
        time_ms = click.timestamp_ms
        event_type = click.event_type
        place = _place(places, place_of, item_id)
        row = _row(place[0], <list>place[1], offset, time_ms, item_id, event_type)
        (<list>place[0].owned).append(row)
        distance = 0
        for earlier in <list>before:
            distance += 1
            if earlier is None:
                continue
            place = _place(places, place_of, earlier)
            row = _row(place[0], <list>place[1], offset, time_ms, item_id, event_type)
            followers = place[2]
            followers.append(row)
            followers.append(distance)
