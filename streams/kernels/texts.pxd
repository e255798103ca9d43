# cython: language_level=3
"""Texts, nearly all of them interned."""

from cpython.object cimport PyObject


cdef extern from "Python.h":
    bint PyUnicode_CHECK_INTERNED(PyObject* text)


cdef inline bint same(PyObject* a, PyObject* b) except -1:
    if a is b:
        return True
    if PyUnicode_CHECK_INTERNED(a) and PyUnicode_CHECK_INTERNED(b):
        return False
    return <object>a == <object>b
