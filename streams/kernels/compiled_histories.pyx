# cython: language_level=3, binding=False, boundscheck=False, wraparound=False
"""The kernels of histories compiled: what `streams.kernels.pure_histories` does, which says what
that is. What comes from outside is checked.
"""

from cpython cimport array
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE, PyList_New, PyList_SET_ITEM
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.set cimport PySet_Add

from streams.kernels.arrivals cimport narrow, wide as wide_number
from streams.kernels.integers cimport integer
from streams.kernels.texts cimport same

from array import array as make_array

from streams.kernels import pure_histories

cdef array.array _INTEGERS = make_array("q")


def read_times(bytearray arrivals, integer base_ms, Py_ssize_t start, *, bint wide):
    cdef Py_ssize_t size = 8 if wide else 4
    cdef Py_ssize_t count = PyByteArray_GET_SIZE(arrivals) // (2 * size)
    cdef Py_ssize_t entry
    cdef const unsigned char* at
    cdef array.array times
    cdef long long* found
    if PyByteArray_GET_SIZE(arrivals) != 2 * size * count:
        raise ValueError("arrivals are whole")
    if not 0 <= start <= count:
        raise IndexError("no such entry")
    times = array.clone(_INTEGERS, count - start, zero=False)
    found = times.data.as_longlongs
    at = <const unsigned char*>PyByteArray_AS_STRING(arrivals) + 2 * size * start
    for entry in range(count - start):
        found[entry] = base_ms + (wide_number(at) if wide else narrow(at))
        at += 2 * size
    return times


def name_kinds(list types, kinds, Py_ssize_t start):
    cdef const unsigned char* kind
    cdef Py_ssize_t count, entry
    cdef list names
    if start < 0:
        raise IndexError("no such entry")
    if not isinstance(kinds, bytearray):  # more than 256 of them
        return pure_histories.name_kinds(types, kinds, start)
    kind = <const unsigned char*>PyByteArray_AS_STRING(kinds)
    count = PyByteArray_GET_SIZE(kinds) - start
    names = PyList_New(max(count, 0))
    for entry in range(count):
        if kind[start + entry] >= PyList_GET_SIZE(types):
            raise IndexError("a kind without a name")
        name = types[kind[start + entry]]
        Py_INCREF(name)
        PyList_SET_ITEM(names, entry, name)
    return names


def last_distinct(list items, Py_ssize_t n):
    cdef Py_ssize_t place = PyList_GET_SIZE(items)
    cdef Py_ssize_t nearer
    cdef list found = []
    cdef PyObject* item
    while place and PyList_GET_SIZE(found) < n:
        place -= 1
        item = <PyObject*>PyList_GET_ITEM(items, place)
        nearer = PyList_GET_SIZE(found)
        while nearer and not same(item, <PyObject*>PyList_GET_ITEM(found, nearer - 1)):
            nearer -= 1
        if not nearer:
            found.append(<object>item)
    return found


def find_numbers(dict numbers, item_ids):
    cdef set found = set()
    cdef PyObject* number
    for item_id in item_ids:
        number = PyDict_GetItemWithError(numbers, item_id)
        if number is not NULL:
            PySet_Add(found, <object>number)
    return found
