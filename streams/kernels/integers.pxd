# cython: language_level=3
"""Integers of 64 bits, as all kernels call them, and how a user and an item share one."""

ctypedef long long integer
ctypedef unsigned long long key64

cdef enum:
    ITEM_BITS = 32  # of a key: the item's number; the user's stands above
