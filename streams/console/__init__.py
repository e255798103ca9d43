"""The console: one page for people, served by the worker itself.

It is files and no program: `assets` reads them from the package once, and the HTTP server hands
them out as they are. The page reads the worker's own HTTP interface, as any other client does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import NamedTuple

PAGE_PATH = "/"
ASSETS_PREFIX = "/console/"

PAGE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
        " img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Asked for again each time, and answered with 304 while it is the same: a new version of the
    # worker never runs with parts of an older page.
    "Cache-Control": "no-cache",
}

_CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


class Asset(NamedTuple):
    """One file of the page. `etag` is quoted, as it stands in the header."""

    body: bytes
    content_type: str
    etag: str


def assets() -> dict[str, Asset]:
    """Path on the server -> file: the page at `/`, what it loads below `/console/`."""
    found = {}
    for file in resources.files(__name__).iterdir():
        stem, dot, ending = file.name.rpartition(".")
        content_type = _CONTENT_TYPES.get(dot + ending)
        if content_type is None or not stem:
            continue
        body = file.read_bytes()
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        path = PAGE_PATH if file.name == "index.html" else ASSETS_PREFIX + file.name
        found[path] = Asset(body, content_type, etag)
    return found
