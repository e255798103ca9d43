# cython: language_level=3
"""Packed arrivals of a window: little-endian times and offsets in turn, of 4 bytes or of 8."""

from streams.kernels.integers cimport integer, key64


cdef inline integer narrow(const unsigned char* at) noexcept nogil:
    return at[0] | at[1] << 8 | at[2] << 16 | <integer>at[3] << 24


cdef inline integer wide(const unsigned char* at) noexcept nogil:
    return narrow(at) | <integer>(<key64>narrow(at + 4) << 32)
