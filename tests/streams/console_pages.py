"""Pages of the console on a worker's real HTTP server over a small world, for tests."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from streams.partition import LastList
from streams.serving import Server
from tests.browser import Browser, Page
from tests.streams.api_world import DAY_MS, TOKEN, make_world, worker_of
from tests.streams.list_world import NOW_MS

SCRIPT = "<script>window.broken = 1</script>"
IMAGE = '"><img src=x onerror="window.broken = 1">'
LONG = "wide" * 128
RIGHT_TO_LEFT = "\u202eאבג/../%2F#?&"
HOSTILE = [SCRIPT, IMAGE, LONG, RIGHT_TO_LEFT, ".."]

HASTE = 20
_HASTY = f"const slow = setTimeout; setTimeout = (act, ms) => slow(act, ms / {HASTE});"


def make_worker() -> Any:
    """The small world, and users and items with names that somebody thought about."""
    world = make_world()
    for hostile in HOSTILE:
        world.item(hostile, title=f"{hostile} title", categories=(hostile,))
        world.clicks(hostile, *HOSTILE, at_ms=NOW_MS - 2 * DAY_MS)
        world.clicks(hostile, "lamp", *HOSTILE, "desk", at_ms=NOW_MS)
    worker = worker_of(world)
    lists = worker.owned[0].lists
    lists |= {user: LastList("rec-2", NOW_MS, [*HOSTILE, "lamp"]) for user in HOSTILE}
    return worker


@contextmanager
def opened(
    browser: Browser,
    server: Server,
    view: str = "#/live",
    *,
    token: str | None = None,
    before: str = "",
    hasty: bool = False,
    link: str = "live",
    **look: Any,
) -> Iterator[Page]:
    """A page that is shown without a complaint of the browser.

    before: a script to run first. hasty: the page's timers run 20 times as fast. link: what the
    lamp says once the page is open.
    """
    page = browser.page(**look)
    try:
        if token is not None:
            page.remember("freshrec-lookup-token", token)
        if before or hasty:
            page.before(f"{{{before}}}{_HASTY if hasty else ''}")
        page.open(f"{server.url}/{view}")
        page.until_text(link, "#link-words")
        yield page
        assert page.complaints == []
    finally:
        page.close()


with_token = partial(opened, token=TOKEN)


def go(page: Page, view: str) -> None:
    """Open a view; what the page shows from here on is of it."""
    page.value(f"""new Promise((done) => {{
      if (location.hash === {json.dumps(view)}) done();
      addEventListener("hashchange", () => done(), {{ once: true }});
      location.hash = {json.dumps(view)};
    }})""")


def enter_token(page: Page, token: str) -> None:
    """Enter a token where a notice asks for one."""
    page.press_on("main .notice button")
    assert page.focused() == "token"
    page.type(token)
    page.press("Enter")


def route(view: str, name: str) -> str:
    return f"#/{view}/{''.join(f'%{byte:02X}' for byte in name.encode())}"
