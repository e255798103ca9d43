# cython: language_level=3, binding=False, boundscheck=False, wraparound=False, cdivision=True
"""Clicks compiled: the common case of `streams.click.decode_click`, for many records at once.

Nearly every record is a good click in printable ASCII whose time is written as everybody writes it.
Such a one is read here; at any other the kernel stops, and `decode_click` says what it is.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem
from cpython.long cimport PyLong_CheckExact
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_CheckExact, PyUnicode_GET_LENGTH
from libc.string cimport memcmp

from streams.kernels.integers cimport integer
from streams.kernels.utf8 cimport PyUnicode_AsUTF8AndSize

from sys import intern

ctypedef const unsigned char* text

cdef extern from "Python.h":
    integer PyLong_AsLongLongAndOverflow(object number, int* overflow) except? -1

cdef enum:
    _SECONDS_END = 19  # 2026-01-31T12:00:00, then Z, .123Z, .123456Z, or +00:00 for Z
    _FIRST_YEAR = 1970

cdef integer _NO_TIME = -1


cdef inline bint _is_plain(const char* value, Py_ssize_t size) noexcept nogil:
    """Whether text is ASCII without an escape or a DEL."""
    cdef Py_ssize_t at
    cdef unsigned char byte
    cdef unsigned char odd = 0
    for at in range(size):
        byte = value[at]
        odd |= (byte >= 0x7F) | (byte == 0x5C)
    return not odd


cdef inline int _digits(text at, int count) noexcept nogil:
    """A number of so many digits; negative where one of them is none."""
    cdef int number = 0
    cdef int place
    for place in range(count):
        if not 0x30 <= at[place] <= 0x39:
            return -1
        number = 10 * number + at[place] - 0x30
    return number


cdef inline int _days_of_month(int year, int month) noexcept nogil:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


cdef int _fraction_ms(text at, Py_ssize_t size) noexcept nogil:
    """Milliseconds in what stands behind the seconds; negative where it is written otherwise."""
    cdef int fraction = 0
    if size and at[0] == 0x2E:
        if size < 5:
            return -1
        fraction = _digits(at + 1, 3)
        at += 4
        size -= 4
        if size > 3 and 0x30 <= at[0] <= 0x39:
            if _digits(at, 3) < 0:
                return -1
            at += 3
            size -= 3
    if size == 1 and at[0] == 0x5A:
        return fraction
    if size == 6 and not memcmp(at, b"+00:00", 6):
        return fraction
    return -1


cdef integer _instant_ms(text at, Py_ssize_t size) noexcept nogil:
    """Epoch milliseconds of UTC text; `_NO_TIME` for what is written otherwise or is none."""
    cdef int year, month, day, hour, minute, second, fraction, shifted
    cdef integer days
    if size <= _SECONDS_END:
        return _NO_TIME
    if at[4] != 0x2D or at[7] != 0x2D or at[10] != 0x54 or at[13] != 0x3A or at[16] != 0x3A:
        return _NO_TIME
    year = _digits(at, 4)
    month = _digits(at + 5, 2)
    day = _digits(at + 8, 2)
    hour = _digits(at + 11, 2)
    minute = _digits(at + 14, 2)
    second = _digits(at + 17, 2)
    fraction = _fraction_ms(at + _SECONDS_END, size - _SECONDS_END)
    if year < _FIRST_YEAR or fraction < 0:
        return _NO_TIME
    if not (1 <= month <= 12 and 1 <= day <= _days_of_month(year, month)):
        return _NO_TIME
    if not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60):
        return _NO_TIME
    # Days since 1970 of the Gregorian calendar, with years that begin in March.
    shifted = year - (month <= 2)
    days = 365 * <integer>shifted + shifted // 4 - shifted // 100 + shifted // 400
    days += (153 * (month + (9 if month <= 2 else -3)) + 2) // 5 + day - 1 - 719_468
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + fraction


cdef inline bint _fits(name, Py_ssize_t longest) except -1:
    return PyUnicode_CheckExact(name) and 0 < PyUnicode_GET_LENGTH(name) <= longest


cdef bint _has_cloud_event(headers) except -1:
    for name, _ in headers:
        if (<str?>name).startswith("ce_"):
            return True
    return False


cdef bint _is_key(key, user_id) except -1:
    cdef Py_ssize_t size
    cdef const char* known
    if not PyBytes_CheckExact(key):
        return False
    known = PyUnicode_AsUTF8AndSize(user_id, &size)
    return size == PyBytes_GET_SIZE(key) and not memcmp(known, PyBytes_AS_STRING(key), size)


cdef int _add(dict of_users, user_id, position) except -1:
    cdef PyObject* found = PyDict_GetItem(of_users, user_id)
    if found is NULL:
        of_users[user_id] = [position]
    else:
        (<list?><object>found).append(position)
    return 0


def read_plain(
    records,
    Py_ssize_t begin,
    decode,
    make_click,
    place_cell,
    dict event_types,
    limits,
    bint is_keyed,
    list clicks,
    dict of_users,
):
    cdef Py_ssize_t longest_record, longest_id, size
    cdef Py_ssize_t end = len(records)
    cdef Py_ssize_t at = begin
    cdef integer max_age_ms, max_future_ms, latest_ms, time_ms, now_ms
    cdef int overflow = 0
    cdef const char* written
    longest_record, longest_id, max_age_ms, max_future_ms, latest_ms = limits
    while at < end:
        record = records[at]
        value = record.value
        if not PyBytes_CheckExact(value) or PyBytes_GET_SIZE(value) > longest_record:
            break
        if not _is_plain(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value)):
            break
        headers = record.headers
        if headers and _has_cloud_event(headers):
            break
        try:
            message = decode(value)
        except Exception:  # what is wrong with it is said elsewhere
            break
        item_id = message.item_id
        user_id = message.user_id
        if user_id is None:
            user_id = message.session_id
        event_id = message.event_id
        recommendation_id = message.recommendation_id
        if not (_fits(item_id, longest_id) and _fits(user_id, longest_id)):
            break
        if event_id is not None and not _fits(event_id, longest_id):
            break
        if recommendation_id is not None and not _fits(recommendation_id, longest_id):
            break
        event_type = message.event_type
        event_type = event_types.get("click" if event_type is None else event_type)
        if event_type is None:
            break
        timestamp = message.timestamp
        if PyUnicode_CheckExact(timestamp):
            written = PyUnicode_AsUTF8AndSize(timestamp, &size)
            time_ms = _instant_ms(<text>written, size)
            if time_ms == _NO_TIME:
                break
        elif PyLong_CheckExact(timestamp):
            time_ms = PyLong_AsLongLongAndOverflow(timestamp, &overflow)
            if overflow:
                break
        else:
            break
        now_ms = record.timestamp
        if time_ms > latest_ms or not now_ms - max_age_ms <= time_ms <= now_ms + max_future_ms:
            break
        if is_keyed and not _is_key(record.key, user_id):
            break
        amount = message.value
        place = message.place
        clicks.append(
            make_click(
                user_id,
                intern(item_id),
                event_type,
                time_ms,
                event_id,
                1.0 if amount is None else amount,
                recommendation_id,
                message.position,
                0 if place is None else place_cell(place.lat, place.lon),
            )
        )
        _add(of_users, user_id, at)
        at += 1
    return at
