# cython: language_level=3, binding=False, boundscheck=False, wraparound=False, cdivision=True
"""The kernel of reasons compiled: to the bit what `streams.kernels.pure_reasons` does, which says
what that is. Shares are rounded as NumPy rounds. Indexes that come from outside are checked.
"""

from libc.math cimport rint

from streams.kernels.integers cimport integer, key64

import numpy as np

from streams.kernels.pure_reasons import DIGITS, TREND_THRESHOLD
from streams.recommendation import Reason, ReasonCode


cdef object _reason = Reason
cdef object CO_CLICKED = ReasonCode.CO_CLICKED
cdef object NEW_ITEM = ReasonCode.NEW_ITEM
cdef object OWN_HISTORY = ReasonCode.OWN_HISTORY
cdef object POPULAR = ReasonCode.POPULAR
cdef object SEQUENCE = ReasonCode.SEQUENCE
cdef object TRENDING = ReasonCode.TRENDING
cdef double TRENDS_FROM = TREND_THRESHOLD
cdef double SHARES = 10.0**DIGITS
cdef double SMALL_SHARES = 10.0 ** (DIGITS + 2)


cdef inline double _rounded(double value, double scale) noexcept nogil:
    return rint(value * scale) / scale


cdef inline double _age_seconds(integer then_ms, integer now_ms) noexcept nogil:
    if then_ms >= now_ms:
        return 0.0
    return <double>(<key64>now_ms - <key64>then_ms) / 1000.0


cdef inline double _at(const double[::1] values, integer place) noexcept nogil:
    return values[place] if 0 <= place < values.shape[0] else 0.0


def give_reasons(listed, known, list readers, double new_item_ms):
    cdef const integer[::1] items = listed.items
    cdef const integer[::1] positions = listed.positions
    cdef const integer[::1] path_source = listed.paths.source
    cdef const double[::1] path_share = listed.paths.share
    cdef const integer[::1] path_last_ms = listed.paths.last_ms
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
    cdef bint tells_text, is_new
    cdef list made = []
    cdef list of_list, reasons
    if known.own is not None:
        own = known.own
    if listed.from_text is not None:
        from_text = listed.from_text.view(np.uint8)
    if (
        not count == positions.shape[0] == path_source.shape[0] == path_share.shape[0]
        or not count == path_last_ms.shape[0] == sequence.shape[0]
        or (from_text is not None and from_text.shape[0] != count)
    ):
        raise ValueError("columns of unequal length")
    for number in range(len(readers)):
        names, sources, last_seen_ms, last_item, now = readers[number]
        now_ms = now
        first = number * places
        of_list = []
        if len(names) > places:
            raise ValueError("more names than places")
        for place in range(first, first + len(names)):
            item = items[place]
            if not 0 <= item < announced.shape[0]:
                raise IndexError("an item without a number")
            name = names[place - first]
            reasons = []
            source = path_source[place]
            if source >= 0:
                if source >= len(sources):
                    raise IndexError("a source that is none")
                share = _rounded(path_share[place], SHARES)
                age = _age_seconds(path_last_ms[place], now_ms)
                reasons.append(_reason(CO_CLICKED, sources[source], share, None, age))
            share = _rounded(sequence[place], SHARES)
            if share > 0.0:
                reasons.append(_reason(SEQUENCE, last_item, None, share))
            if own is not None and positions[place] >= 0:
                if positions[place] >= own.shape[0]:
                    raise IndexError("a position that is no candidate")
                share = _rounded(own[positions[place]], SHARES)
                if share > 0.0:
                    age = _age_seconds(last_seen_ms.get(name, now), now_ms)
                    reasons.append(_reason(OWN_HISTORY, name, share, None, age))
            if not reasons:
                share = _rounded(_at(popularity, item), SMALL_SHARES)
                reasons.append(_reason(POPULAR, None, share))
            if _at(trends, item) >= TRENDS_FROM:
                reasons.append(_reason(TRENDING))
            announced_ms = announced[item]
            tells_text = from_text is not None and from_text[place]
            is_new = (
                announced_ms != 0
                and announced_ms <= now_ms
                and <double>(<key64>now_ms - <key64>announced_ms) < new_item_ms
            )
            if tells_text or is_new:
                since = _age_seconds(announced_ms, now_ms) if announced_ms else None
                reasons.append(_reason(NEW_ITEM, None, None, None, since))
            of_list.append(reasons)
        made.append(of_list)
    return made
