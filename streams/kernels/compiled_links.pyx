# cython: language_level=3, binding=False, boundscheck=False, wraparound=False, cdivision=True
"""Links compiled: what `streams.kernels.pure_links` does, which says what that is."""

from cpython cimport array
from cpython.dict cimport PyDict_GetItem, PyDict_SetItem
from cpython.object cimport PyObject
from libc.string cimport memcpy

from streams.kernels.integers cimport integer

from streams.kernels.pure_columns import Columns
from streams.kernels.pure_links import Telling

cdef array.array LONG = array.array("q")
cdef array.array INT = array.array("i")


# Owners are numbered as they come, too: their numbers are called places.
cdef struct Links:
    int* click
    int* item
    int* row
    int* distance
    int* click_item
    int* click_kind
    int* item_place
    int* item_links
    int* item_followed
    int* place_click
    int* place_rows
    int* place_links
    int* place_items
    Py_ssize_t count
    Py_ssize_t items
    Py_ssize_t places


cdef inline array.array _made(const integer* data, Py_ssize_t size):
    cdef array.array made = array.clone(LONG, size, False)
    memcpy(made.data.as_voidptr, data, 8 * size)
    return made


cdef inline object _columns(tuple columns):
    """Without the call of a constructor, which costs more than the columns of a click."""
    return tuple.__new__(Columns, columns)


cdef inline int _number(dict numbers, object key, Py_ssize_t otherwise) except -2:
    """The number of a key; -1 where it is new, and gets the other one."""
    cdef PyObject* found = PyDict_GetItem(numbers, key)
    if found is not NULL:
        return <int><object>found
    PyDict_SetItem(numbers, key, otherwise)
    return -1


cdef int _link(
    Links* links, dict numbers, list item_ids, dict places, owners, object item_id,
    Py_ssize_t click, int distance,
) except -1:
    """Note that a click follows an item; returns the item's number."""
    cdef int place
    cdef Py_ssize_t at = links.count
    cdef int item = _number(numbers, item_id, links.items)
    if item < 0:
        item = <int>links.items
        owner = owners[item_id]
        place = _number(places, owner, links.places)
        if place < 0:
            place = <int>links.places
            links.place_click[place] = -1
            links.place_rows[place] = links.place_links[place] = links.place_items[place] = 0
            links.places += 1
        item_ids.append(item_id)
        links.item_place[item] = place
        links.item_links[item] = links.item_followed[item] = 0
        links.place_items[place] += 1
        links.items += 1
    place = links.item_place[item]
    if links.place_click[place] != click:
        links.place_click[place] = <int>click
        links.place_rows[place] += 1
    links.click[at] = <int>click
    links.item[at] = item
    links.row[at] = links.place_rows[place] - 1
    links.distance[at] = distance
    links.place_links[place] += 1
    links.item_links[item] += 1
    if distance:
        links.item_followed[item] = 1
    links.count += 1
    return item


def link_clicks(list offsets, list clicks, list predecessors, owners):
    cdef Py_ssize_t count = len(offsets)
    cdef Py_ssize_t room = 0
    cdef Py_ssize_t number
    cdef Py_ssize_t linking = 0
    cdef int distance, kind
    cdef Links links
    cdef list before
    if len(clicks) != count or len(predecessors) != count:
        raise ValueError("columns of unequal length")
    for number in range(count):
        before = predecessors[number]
        if before is not None and clicks[number] is not None:
            room += 1 + len(before)
    if not room:
        return {}
    if room > 1 << 28:
        raise ValueError("too many links at once")
    cdef array.array work = array.clone(INT, 13 * room, False)
    cdef int* free = work.data.as_ints
    links.click, links.item, links.row, links.distance = free, free + room, free + 2 * room, free + 3 * room
    free += 4 * room
    links.click_item, links.click_kind = free, free + room
    links.item_place, links.item_links, links.item_followed = free + 2 * room, free + 3 * room, free + 4 * room
    free += 5 * room
    links.place_click, links.place_rows, links.place_links = free, free + room, free + 2 * room
    links.place_items = free + 3 * room
    links.count = links.items = links.places = 0
    cdef array.array click_offsets = array.clone(LONG, room, False)
    cdef array.array click_times_ms = array.clone(LONG, room, False)
    cdef dict numbers = {}
    cdef dict places = {}
    cdef dict types = {}
    cdef list item_ids = []
    for number in range(count):
        click = clicks[number]
        before = predecessors[number]
        if click is None or before is None:
            continue
        if links.count + 1 + len(before) > room:
            raise ValueError("predecessors that grow")
        click_offsets.data.as_longlongs[linking] = offsets[number]
        click_times_ms.data.as_longlongs[linking] = click.timestamp_ms
        kind = _number(types, click.event_type, len(types))
        links.click_kind[linking] = kind if kind >= 0 else <int>(len(types) - 1)
        links.click_item[linking] = _link(
            &links, numbers, item_ids, places, owners, click.item_id, linking, 0
        )
        distance = 0
        for earlier in before:
            distance += 1
            if earlier is not None:
                _link(&links, numbers, item_ids, places, owners, earlier, linking, distance)
        linking += 1
    return _told(
        &links,
        item_ids,
        list(types),
        list(places),
        click_offsets.data.as_longlongs,
        click_times_ms.data.as_longlongs,
        linking,
    )


cdef dict _told(
    const Links* links,
    list item_ids,
    list types,
    list owners,
    const integer* click_offsets,
    const integer* click_times_ms,
    Py_ssize_t clicks,
):
    """The columns of every partition, in the order in which they were first concerned."""
    cdef Py_ssize_t places = links.places
    cdef Py_ssize_t items = links.items
    cdef Py_ssize_t at, place, item, row, kind
    cdef Py_ssize_t rows = 0
    cdef int followed, click
    for place in range(places):
        rows += links.place_rows[place]
    # Of places: where their rows, links and items begin, and how many links and items are put in.
    cdef array.array place_work = array.clone(INT, 5 * places, False)
    cdef int* first_row = place_work.data.as_ints
    cdef int* first_link = first_row + places
    cdef int* first_item = first_row + 2 * places
    cdef int* put_links = first_row + 3 * places
    cdef int* put_items = first_row + 4 * places
    # Of items: number in their owner's table, where their next link goes, number in the table of
    # another place and which that is.
    cdef array.array item_work = array.clone(INT, 4 * items, False)
    cdef int* item_number = item_work.data.as_ints
    cdef int* next_link = item_number + items
    cdef int* other_number = item_number + 2 * items
    cdef int* other_place = item_number + 3 * items
    cdef array.array kind_work = array.clone(INT, 2 * len(types), False)
    cdef int* kind_number = kind_work.data.as_ints
    cdef int* kind_place = kind_number + len(types)
    cdef array.array row_work = array.clone(INT, rows, False)
    cdef int* row_click = row_work.data.as_ints
    cdef array.array columns = array.clone(LONG, 4 * rows + items + 2 * links.count, False)
    cdef integer* offsets = columns.data.as_longlongs
    cdef integer* times_ms = offsets + rows
    cdef integer* row_items = offsets + 2 * rows
    cdef integer* kinds = offsets + 3 * rows
    cdef integer* ends = offsets + 4 * rows
    cdef integer* link_rows = ends + items
    cdef integer* distances = link_rows + links.count
    cdef list tables = []
    cdef list table, used
    cdef dict told = {}
    cdef int before_rows = 0
    cdef int before_links = 0
    cdef int before_items = 0
    for place in range(places):
        first_row[place], first_link[place], first_item[place] = before_rows, before_links, before_items
        put_links[place] = put_items[place] = 0
        before_rows += links.place_rows[place]
        before_links += links.place_links[place]
        before_items += links.place_items[place]
        tables.append([])
    for followed in (1, 0):
        for item in range(items):
            if links.item_followed[item] != followed:
                continue
            place = links.item_place[item]
            item_number[item] = put_items[place]
            next_link[item] = first_link[place] + put_links[place]
            put_links[place] += links.item_links[item]
            ends[first_item[place] + put_items[place]] = put_links[place]
            put_items[place] += 1
            other_place[item] = -1
            (<list>tables[place]).append(item_ids[item])
    for at in range(links.count):
        item = links.item[at]
        link_rows[next_link[item]] = links.row[at]
        distances[next_link[item]] = links.distance[at]
        next_link[item] += 1
        row_click[first_row[links.item_place[item]] + links.row[at]] = links.click[at]
    for kind in range(len(types)):
        kind_place[kind] = -1
    for place in range(places):
        table = tables[place]
        used = []
        for row in range(first_row[place], first_row[place] + links.place_rows[place]):
            click = row_click[row]
            offsets[row] = click_offsets[click]
            times_ms[row] = click_times_ms[click]
            item = links.click_item[click]
            if links.item_place[item] == place:
                row_items[row] = item_number[item]
            else:
                if other_place[item] != place:
                    other_place[item] = <int>place
                    other_number[item] = <int>len(table)
                    table.append(item_ids[item])
                row_items[row] = other_number[item]
            kind = links.click_kind[click]
            if kind_place[kind] != place:
                kind_place[kind] = <int>place
                kind_number[kind] = <int>len(used)
                used.append(types[kind])
            kinds[row] = kind_number[kind]
        told[owners[place]] = tuple.__new__(
            Telling,
            (
                table,
                used,
                _columns(
                    (
                        _made(offsets + first_row[place], links.place_rows[place]),
                        _made(times_ms + first_row[place], links.place_rows[place]),
                        _made(row_items + first_row[place], links.place_rows[place]),
                        _made(kinds + first_row[place], links.place_rows[place]),
                        _made(ends + first_item[place], links.place_items[place]),
                        _made(link_rows + first_link[place], links.place_links[place]),
                        _made(distances + first_link[place], links.place_links[place]),
                    )
                ),
            ),
        )
    return told
