# cython: language_level=3
"""The bytes of a text, without a copy: they live as long as the text."""

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
