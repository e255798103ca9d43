# cython: language_level=3, binding=False, boundscheck=False, wraparound=False
"""The kernels of inputs compiled: to the bit what `model.kernels.pure_inputs` does, which says what
that is. What a feature means is written in `model.features`. What comes from outside is checked.
"""

from cpython cimport array
from cpython.dict cimport PyDict_GetItemWithError
from cpython.long cimport PyLong_AsLongLong
from cpython.object cimport PyObject
from libc.math cimport frexp
from libc.string cimport memcpy, memmove

import numpy as np

from array import array as make_array

from model.kernels import pure_inputs
from model.kernels.pure_inputs import KnownEvents

ctypedef long long integer
ctypedef unsigned long long natural

cdef extern from "Python.h":
    object PySequence_Fast(object values, const char* message)
    Py_ssize_t PySequence_Fast_GET_SIZE(object values)
    Py_ssize_t Py_SIZE(object values)
    PyObject** PySequence_Fast_ITEMS(object values)

cdef enum:
    _GAP_BUCKETS = 28
    _EPOCH_HOUR = 72
    _WEEK_HOURS = 168
    _HOUR_MS = 3_600_000
    _UNKNOWN_TYPE = 1
    _FIRST_EVENT = 1
    _NO_PLACE = 1

cdef array.array _INTEGERS = make_array("q")


cdef object _column(object values):
    """A list or tuple of the values."""
    return PySequence_Fast(values, "a column is a sequence")


cdef inline bint _is_of_integers(array.array column) noexcept:
    return column.ob_descr.typecode == b"q"


cdef inline PyObject* _at(object column, integer place) except NULL:
    if not 0 <= place < PySequence_Fast_GET_SIZE(column):
        raise IndexError("a history has columns of one length")
    return PySequence_Fast_ITEMS(column)[place]


cdef inline integer _number(object column, integer place) except? -1:
    return PyLong_AsLongLong(<object>_at(column, place))


cdef int _put_types(
    integer* to, object column, const integer* places, Py_ssize_t count, dict type_ids
) except -1:
    cdef Py_ssize_t event
    cdef PyObject* name
    cdef PyObject* found
    cdef PyObject* last = NULL
    cdef integer number = _UNKNOWN_TYPE
    for event in range(count):
        name = _at(column, places[event])
        if name is not last:  # mostly all are one type, and one object
            found = PyDict_GetItemWithError(type_ids, <object>name)
            number = _UNKNOWN_TYPE if found is NULL else PyLong_AsLongLong(<object>found)
            last = name
        to[event] = number
    return 0


cdef int _put_times(
    integer* to, object column, const integer* places, Py_ssize_t count
) except -1:
    cdef Py_ssize_t event, size
    cdef const integer* times
    if isinstance(column, array.array) and _is_of_integers(column):
        times = (<array.array>column).data.as_longlongs
        size = Py_SIZE(column)
        for event in range(count):
            if not 0 <= places[event] < size:
                raise IndexError("a history has columns of one length")
            to[event] = times[places[event]]
        return 0
    column = _column(column)
    for event in range(count):
        to[event] = _number(column, places[event])
    return 0


cdef void _to_gaps(integer* to, Py_ssize_t count) noexcept nogil:
    """Event times to ids of what has passed since the event before."""
    cdef Py_ssize_t event
    cdef integer before = 0, now, gap
    cdef int bits
    for event in range(count):
        now = to[event]
        if event:
            gap = <integer>(<natural>now - <natural>before)  # wraps as NumPy's does
            gap = gap // 1000 + 1 if gap > 0 else 1
            frexp(<double>gap, &bits)
            to[event] = 1 + (bits if bits < _GAP_BUCKETS else _GAP_BUCKETS)
        else:
            to[event] = _FIRST_EVENT
        before = now


cdef void _to_hours(integer* to, Py_ssize_t count) noexcept nogil:
    """Event times to ids of their hours of the week."""
    cdef Py_ssize_t event
    for event in range(count):
        to[event] = (to[event] // _HOUR_MS + _EPOCH_HOUR) % _WEEK_HOURS + 1


cdef int _put_places(
    integer* to, object column, const integer* places, Py_ssize_t count, natural buckets
) except -1:
    cdef Py_ssize_t event
    cdef integer cell
    cdef natural mixed
    for event in range(count):
        cell = _number(column, places[event])
        mixed = <natural>cell
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ULL
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBULL
        mixed = mixed ^ (mixed >> 31)
        to[event] = <integer>(mixed % buckets) + 2 if cell else _NO_PLACE
    return 0


def find_known(histories, dict item_index, Py_ssize_t longest):
    cdef Py_ssize_t rows = len(histories)
    cdef Py_ssize_t row, place, first, count
    cdef Py_ssize_t events = 0
    cdef Py_ssize_t unknown = 0
    cdef PyObject* found
    cdef list lengths = []
    if longest < 1:
        raise ValueError("a window has room for an event")
    cdef array.array ids = array.clone(_INTEGERS, rows * longest, zero=False)
    cdef array.array places = array.clone(_INTEGERS, rows * longest, zero=False)
    cdef integer* id_at = ids.data.as_longlongs
    cdef integer* place_at = places.data.as_longlongs
    for row in range(rows):
        items = _column(histories[row].items)
        # From the newest to the oldest, and written from the last place of the row's own.
        first = longest * (row + 1)
        place = PySequence_Fast_GET_SIZE(items)
        while place and first > longest * row:
            place -= 1
            found = PyDict_GetItemWithError(item_index, <object>PySequence_Fast_ITEMS(items)[place])
            if found is NULL:
                unknown += 1
                continue
            first -= 1
            id_at[first] = PyLong_AsLongLong(<object>found)
            place_at[first] = place
        count = longest * (row + 1) - first
        lengths.append(count)
        if count and first > events:
            memmove(id_at + events, id_at + first, count * sizeof(integer))
            memmove(place_at + events, place_at + first, count * sizeof(integer))
        events += count
    array.resize(ids, events)
    array.resize(places, events)
    return KnownEvents(ids, places, lengths, unknown)


def pad_windows(
    spec,
    dict type_ids,
    histories,
    known,
    list rows,
    Py_ssize_t batch,
    Py_ssize_t length,
):
    features = spec.features
    if "distance" in features:  # NumPy's own sines
        return pure_inputs.pad_windows(spec, type_ids, histories, known, rows, batch, length)
    cdef bint types = "event_type" in features
    cdef bint gaps = "time_gap" in features
    cdef bint hours = "hour_of_week" in features
    cdef bint cells = "place" in features
    cdef array.array all_ids = known.ids
    cdef array.array all_places = known.places
    cdef const integer* ids = all_ids.data.as_longlongs
    cdef const integer* places = all_places.data.as_longlongs
    cdef list counts = known.lengths
    cdef natural buckets = max(spec.place_buckets, 1)
    cdef Py_ssize_t begin = 0
    cdef Py_ssize_t row = 0
    cdef Py_ssize_t at, wanted, count, part
    cdef integer* first
    cdef const integer* of_row
    if not _is_of_integers(all_ids) or not _is_of_integers(all_places):
        raise ValueError("events are arrays of 64 bits")
    if len(counts) != len(histories) or Py_SIZE(all_places) != Py_SIZE(all_ids):
        raise ValueError("columns of unequal length")
    if len(rows) > batch or length < 0:
        raise ValueError(f"{len(rows)} windows do not fit into a batch of {batch}")
    cdef list names = ["items"]
    if types:
        names.append("event_types")
    if gaps:
        names.append("time_gaps")
    if hours:
        names.append("hours")
    if cells:
        names.append("places")
    # One block for all of them: an array of NumPy's costs as much as a window of numbers.
    block = np.zeros((len(names), batch, length), np.int64)
    made_lengths = np.empty(batch, np.int64)
    cdef integer[:, :, ::1] numbers = block
    cdef integer[::1] lengths = made_lengths
    for at in range(batch):
        lengths[at] = 1
    for at in range(len(rows)):
        wanted = rows[at]
        if not row <= wanted < len(counts):
            raise IndexError("rows ascend, and each is one of the histories")
        while row < wanted:
            begin += counts[row]
            row += 1
        count = counts[row]
        row += 1
        if not 0 <= begin <= begin + count <= Py_SIZE(all_ids):
            raise IndexError("a history's events lie outside")
        if count > length:
            raise ValueError(f"a window of {count} events does not fit into {length}")
        if not count:
            continue
        lengths[at] = count
        memcpy(&numbers[0, at, 0], ids + begin, count * sizeof(integer))
        history = histories[wanted]
        part = 0
        if types:
            part += 1
            _put_types(
                &numbers[part, at, 0], _column(history.event_types), places + begin, count, type_ids
            )
        if gaps:
            part += 1
            _put_times(&numbers[part, at, 0], history.times_ms, places + begin, count)
            _to_gaps(&numbers[part, at, 0], count)
        if hours:
            part += 1
            _put_times(&numbers[part, at, 0], history.times_ms, places + begin, count)
            _to_hours(&numbers[part, at, 0], count)
        if cells:
            part += 1
            _put_places(
                &numbers[part, at, 0], _column(history.place_cells), places + begin, count, buckets
            )
        begin += count
    inputs = {names[part]: block[part] for part in range(len(names))}
    inputs["lengths"] = made_lengths
    return inputs


def are_ids(const integer[:, ::1] candidates, integer highest):
    cdef Py_ssize_t row, column
    cdef bint good = True
    for row in range(candidates.shape[0]):
        for column in range(candidates.shape[1]):
            good &= 0 <= candidates[row, column] <= highest
    return good
