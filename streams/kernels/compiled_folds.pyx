# cython: language_level=3, binding=False
"""Folds of links compiled: to the bit what `streams.kernels.pure_folds` does, which says what that
is.

Two things keep the bits the same: the same libm functions are called (see the build for the flags
that forbid the compiler to replace them), and no product is fused with a sum.
"""

from cpython cimport array
from cpython.dict cimport PyDict_GetItem, PyDict_SetItem
from cpython.object cimport PyObject
from libc.math cimport floor, ldexp, pow

from streams.popularity import REBASE_HALF_LIVES, add

cdef double max_ahead = REBASE_HALF_LIVES
cdef array.array LONG = array.array("q")
cdef array.array DOUBLE = array.array("d")


cdef struct Clicks:
    Py_ssize_t size
    Py_ssize_t links
    Py_ssize_t kind_count
    const long long* offsets
    const long long* times_ms
    const long long* items
    const long long* kinds
    const long long* rows
    const long long* distances
    const double* weights
    const double* half_lives_ms
    const long long* powers
    const double* mantissas


cdef struct Bounds:
    Py_ssize_t max_edges
    long long max_shift
    double long_half_life_ms
    double short_half_life_ms


cdef inline const void* _column(array.array column, Py_ssize_t size, char code) except? NULL:
    """The memory of a column, which has to be held as long as it is used."""
    if len(column) != size:
        raise ValueError("columns of unequal length")
    if column.ob_descr.typecode != code:
        raise ValueError("columns of another type")
    return column.data.as_voidptr


cdef int _open(object fields, Clicks* opened) except -1:
    """The memory of following clicks, which have to be held as long as it is used."""
    if not isinstance(fields, tuple) or len(fields) != 12:
        raise ValueError("not the fields of following clicks")
    cdef tuple clicks = <tuple>fields
    opened.size = len(clicks[3])
    opened.links = len(clicks[6])
    opened.kind_count = len(clicks[1])
    opened.offsets = <const long long*>_column(clicks[2], opened.size, c"q")
    opened.times_ms = <const long long*>_column(clicks[3], opened.size, c"q")
    opened.items = <const long long*>_column(clicks[4], opened.size, c"q")
    opened.kinds = <const long long*>_column(clicks[5], opened.size, c"q")
    opened.rows = <const long long*>_column(clicks[6], opened.links, c"q")
    opened.distances = <const long long*>_column(clicks[7], opened.links, c"q")
    opened.weights = <const double*>_column(clicks[8], opened.kind_count, c"d")
    opened.half_lives_ms = <const double*>_column(clicks[9], opened.kind_count, c"d")
    opened.powers = <const long long*>_column(clicks[10], opened.size, c"q")
    opened.mantissas = <const double*>_column(clicks[11], opened.size, c"d")
    return 0


cdef inline Py_ssize_t _row(const Clicks* clicks, Py_ssize_t place) except -1:
    cdef long long row = clicks.rows[place]
    if not 0 <= row < clicks.size or not 0 <= clicks.kinds[row] < clicks.kind_count:
        raise IndexError("a row that does not exist")
    return <Py_ssize_t>row


def decay_terms(
    array.array times_ms, array.array kinds, array.array weights, array.array half_lives_ms
):
    cdef Py_ssize_t count = len(times_ms)
    cdef Py_ssize_t kind_count = len(weights)
    cdef Py_ssize_t row
    cdef long long kind
    cdef double age, power
    cdef const long long* times = <const long long*>_column(times_ms, count, c"q")
    cdef const long long* kind_of = <const long long*>_column(kinds, count, c"q")
    cdef const double* weight_of = <const double*>_column(weights, kind_count, c"d")
    cdef const double* half_life_of = <const double*>_column(half_lives_ms, kind_count, c"d")
    cdef array.array powers = array.clone(LONG, count, False)
    cdef array.array mantissas = array.clone(DOUBLE, count, False)
    for row in range(count):
        kind = kind_of[row]
        if not 0 <= kind < kind_count:
            raise IndexError("an event type that does not exist")
        age = <double>times[row] / half_life_of[kind]
        power = floor(age)
        powers.data.as_longlongs[row] = <long long>power
        mantissas.data.as_doubles[row] = weight_of[kind] * pow(2.0, age - power)
    return powers, mantissas


cdef Py_ssize_t _degree(dict groups) except -1:
    cdef Py_ssize_t degree = 0
    for edges in groups.values():
        degree += len(edges.weights)
    return degree


def fold_items(clicks, array.array ends, source, tuple table, bounds, open_edges, forget):
    cdef Clicks opened
    cdef Bounds limits
    cdef Py_ssize_t number, end, fresh, visits, place
    cdef Py_ssize_t first = 0
    cdef Py_ssize_t folded = 0
    cdef Py_ssize_t replayed = 0
    cdef Py_ssize_t forgotten = 0
    cdef long long applied
    cdef PyObject* found
    cdef list item_ids, event_types
    cdef dict watermarks
    cdef const long long* links_end = <const long long*>_column(ends, len(ends), c"q")
    limits.max_edges, limits.max_shift, limits.long_half_life_ms, limits.short_half_life_ms = bounds
    get_item, put_item, new_item = table
    _open(clicks, &opened)
    item_ids, event_types = (<tuple>clicks)[0], (<tuple>clicks)[1]
    for number in range(len(ends)):
        if not first <= links_end[number] <= opened.links:
            raise IndexError("links that do not exist")
        end = <Py_ssize_t>links_end[number]
        item_id = item_ids[number]
        state = get_item(item_id)
        if state is None:
            state = new_item()
        watermarks = state.watermarks
        found = PyDict_GetItem(watermarks, source)
        applied = -1 if found is NULL else <long long><object>found
        fresh = first
        while fresh < end and opened.offsets[_row(&opened, fresh)] <= applied:
            fresh += 1
        replayed += fresh - first
        if fresh < end:
            visits = 0
            for place in range(fresh, end):
                visits += not opened.distances[place]
            if visits < end - fresh:
                forgotten += _add_links(
                    state.edges, clicks, &opened, item_ids, event_types, fresh, end, &limits,
                    open_edges, forget,
                )
            if visits:
                _count_visits(state.popularity, &opened, fresh, end, &limits)
            folded += end - fresh - visits
            watermarks[source] = opened.offsets[_row(&opened, end - 1)]
        put_item(item_id, state)
        first = end
    return folded, replayed, forgotten


cdef Py_ssize_t _add_links(
    dict groups,
    clicks,
    const Clicks* opened,
    list item_ids,
    list event_types,
    Py_ssize_t first,
    Py_ssize_t end,
    const Bounds* limits,
    open_edges,
    forget,
) except -1:
    """Returns how many edges were forgotten."""
    cdef Py_ssize_t place, row, slot
    cdef Py_ssize_t degree = -1
    cdef Py_ssize_t forgotten = 0
    cdef long long kind = -1
    cdef long long base = 0
    cdef long long shift, seconds
    cdef double mantissa
    cdef dict slots = None
    cdef array.array weights = None
    cdef array.array last_seconds = None
    cdef array.array counts = None
    cdef PyObject* found
    for place in range(first, end):
        if not opened.distances[place]:
            continue
        row = _row(opened, place)
        mantissa = opened.mantissas[row]
        if mantissa == 0.0:
            continue
        if opened.kinds[row] != kind or opened.powers[row] - base > limits.max_shift:
            kind = opened.kinds[row]
            found = PyDict_GetItem(groups, event_types[kind])
            edges = None if found is NULL else <object>found
            if (
                edges is None
                or <double>edges.half_life_ms != opened.half_lives_ms[kind]
                or opened.powers[row] - <long long>edges.base > limits.max_shift
            ):
                edges = open_edges(groups, clicks, row)
            slots, base = edges.slots, edges.base
            weights, last_seconds, counts = edges.weights, edges.last_seconds, edges.counts
        shift = opened.powers[row] - base
        if shift:
            # Below that, any finite double is nothing; ldexp takes no wider number.
            mantissa = ldexp(mantissa, <int>max(shift, -100_000))
        mantissa = mantissa / <double>opened.distances[place]
        item_id = item_ids[opened.items[row]]
        seconds = opened.times_ms[row] // 1000
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
        degree = _degree(groups) if degree < 0 else degree + 1
        if degree > limits.max_edges:
            forgotten += <Py_ssize_t>forget(groups, limits.max_edges)
            degree = kind = -1
    return forgotten


cdef int _count_visits(
    popularity, const Clicks* opened, Py_ssize_t first, Py_ssize_t end, const Bounds* limits
) except -1:
    cdef Py_ssize_t place, row
    cdef bint read = False
    cdef double weight, long_ahead, short_ahead
    cdef double long_weight = 0.0
    cdef double long_base = 0.0
    cdef double long_half_life_ms = limits.long_half_life_ms
    cdef double short_half_life_ms = limits.short_half_life_ms
    cdef double short_weight = 0.0
    cdef double short_base = 0.0
    cdef long long time_ms
    cdef long long count = 0
    cdef long long last_ms = 0
    for place in range(first, end):
        if opened.distances[place]:
            continue
        row = _row(opened, place)
        weight = opened.weights[opened.kinds[row]]
        if weight == 0.0:
            continue
        time_ms = opened.times_ms[row]
        if not read and (
            <double>popularity.long_half_life_ms == long_half_life_ms
            and <double>popularity.short_half_life_ms == short_half_life_ms
        ):
            long_weight, long_base = popularity.long_weight, popularity.long_base
            short_weight, short_base = popularity.short_weight, popularity.short_base
            count, last_ms = popularity.count, popularity.last_ms
            read = True
        long_ahead = <double>time_ms / long_half_life_ms - long_base
        short_ahead = <double>time_ms / short_half_life_ms - short_base
        if not read or not long_ahead <= max_ahead or not short_ahead <= max_ahead:
            # Seldom: half-lives that are new to it, or bases that are to be moved.
            if read:
                _write(popularity, long_weight, short_weight, count, last_ms)
                read = False
            add(popularity, weight, time_ms, long_half_life_ms, short_half_life_ms)
            continue
        long_weight += weight * pow(2.0, long_ahead)
        short_weight += weight * pow(2.0, short_ahead)
        count += 1
        if time_ms > last_ms:
            last_ms = time_ms
    if read:
        _write(popularity, long_weight, short_weight, count, last_ms)
    return 0


cdef int _write(
    popularity, double long_weight, double short_weight, long long count, long long last_ms
) except -1:
    popularity.long_weight = long_weight
    popularity.short_weight = short_weight
    popularity.count = count
    popularity.last_ms = last_ms
    return 0
