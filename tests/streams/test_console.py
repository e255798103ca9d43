"""The console, in a real browser, on a worker's real HTTP server over a small world."""

import json
import re
from collections.abc import Iterator
from email.message import Message
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from streams import console
from streams.health import Health
from streams.metrics import Metrics
from streams.serving import Answer, Answers, Server
from tests.browser import Browser, Page
from tests.streams.api_world import TOKEN, make_world, running_server, worker_of
from tests.streams.console_pages import (
    HOSTILE,
    SCRIPT,
    enter_token,
    go,
    make_worker,
    opened,
    route,
    with_token,
)

VIEWS = ["#/live", "#/user/u", "#/item/lamp", "#/trending", "#/user/nobody"]
SETTLED = (
    "document.querySelector('main [aria-busy]') === null"
    " && document.querySelector('main .part, main .notice')"
)
NO_SCROLLING = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def worker() -> Any:
    return make_worker()


@pytest.fixture(scope="module")
def server(worker: Any) -> Iterator[Server]:
    with running_server(worker) as running:
        yield running


def bars(page: Page, selector: str) -> list[str]:
    """How long the bars in an element are, of 1."""
    found = f"[...document.querySelectorAll({json.dumps(f'{selector} .bar')})]"
    lengths: list[str] = page.value(f"{found}.map((one) => one.style.getPropertyValue('--part'))")
    return lengths


def heading_is(words: str) -> str:
    return f"document.querySelector('h1 > bdi')?.textContent === {json.dumps(words)}"


def get(path: str, **headers: str) -> Answer:
    """The answer to somebody on another machine."""
    message = Message()
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    reader: Any = _NoReader()
    return Answers(Metrics(), Health(), reader, None).answer(path, message, "192.0.2.7")


class _NoReader:
    """Look-ups of nothing: the page's files are no look-ups."""

    def __getattr__(self, name: str) -> None:
        return None


def modules() -> dict[str, str]:
    """The page's modules and what is in them."""
    prefix = console.ASSETS_PREFIX
    return {
        path.removeprefix(prefix): asset.body.decode()
        for path, asset in console.assets().items()
        if path.endswith(".js")
    }


# -- files and headers


def test_the_page_may_load_its_own_files_and_nothing_else() -> None:
    page = get("/")
    assert page.headers["Content-Security-Policy"].split("; ") == [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    assert page.headers["Referrer-Policy"] == "no-referrer"
    html = page.body.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]* src=)|https?:", html)


def test_everything_is_asked_for_at_once_and_everything_is_used() -> None:
    # A module that only another one names is found a round trip later.
    asked = set(re.findall(r'(?:src|href)="(console/[^"]+)"', get("/").body.decode()))
    assert {f"/{path}" for path in asked} == console.assets().keys() - {"/"}
    imported = {m for text in modules().values() for m in re.findall(r'from "\./([\w.]+)"', text)}
    assert imported | {"console.js"} == modules().keys()


def test_a_file_that_the_browser_has_is_not_sent_again() -> None:
    first = get("/console/console.js")
    assert first.content_type == "text/javascript; charset=utf-8"
    etag = first.headers["ETag"]
    for known in (etag, f'"other", W/{etag}'):
        again = get("/console/console.js", If_None_Match=known)
        assert (again.status, again.body) == (HTTPStatus.NOT_MODIFIED, b"")
    assert get("/console/console.js", If_None_Match='"other"').status is HTTPStatus.OK


@pytest.mark.parametrize(
    "path", ["/console", "/console/", "/console/__init__.py", "/console/../serving.py"]
)
def test_what_is_not_of_the_page_is_not_served(path: str) -> None:
    assert get(path).status is HTTPStatus.NOT_FOUND


def test_no_module_makes_markup_or_code_of_text_or_keeps_anything_beyond_the_tab() -> None:
    unwanted = r"(inner|outer|Adjacent)HTML|document\.write|eval\(|new Function|localStorage|cookie"
    assert [name for name, text in modules().items() if re.search(unwanted, text)] == []


# -- the page in a browser


def test_live_figures_are_shown_and_change(browser: Browser) -> None:
    worker = worker_of(make_world())
    with running_server(worker) as server, opened(browser, server) as page:
        page.until_text("12 since the start", "section[aria-label=Clicks]")
        page.until_text("2 records in all", "section[aria-label=Partitions]")
        # A full bar is a hundred records at least: two are nothing to look at.
        assert bars(page, "section[aria-label=Partitions]") == ["0.0200"] * 2
        page.until_text("bert 3f9a", "section[aria-label='This worker']")
        worker.metrics.events_total.labels("click").inc(500)
        worker.metrics.recommendations_total.labels("bert+graph", "A").inc(99)
        for _ in range(99):
            worker.metrics.event_to_recommendation_seconds.observe(0.045)
        page.until_text("512 since the start", "section[aria-label=Clicks]")
        page.until_text("objective kept", "section[aria-label='From click to list']")
        page.until_text("99 lists within 200 ms", "section[aria-label='Delays of the last minute']")
        page.until_text("99", "section[aria-label='What made the lists'] tbody")
        assert float(page.text("section[aria-label=Clicks] .figure").replace(",", "")) > 0


def test_a_look_up_explains_its_refusal_and_works_with_the_token(
    browser: Browser, server: Server
) -> None:
    with opened(browser, server, "#/user/u") as page:
        page.until_text("The look-up token is needed", "main")
        enter_token(page, "wrong")
        page.until_text("The look-up token is wrong.", "main")
        enter_token(page, TOKEN)
        page.until_text("Desk lamp", "main")
        assert page.text("h1").split() == ["User", "u"]
        page.until_text("6 events in 2 sessions", "section[aria-label=Window]")
        page.until_text("outdoor", "section[aria-label='Drift between sessions']")
        page.until_text("50 % of what follows Desk, 34 s ago; trending", ".ranked li")
        page.until_text("by encoder and graph", "section[aria-label='Current list']")
        # Scores are of a logit: an item with 3.25 less is 0.04 times as likely.
        assert bars(page, ".ranked") == ["1.0000", "0.0388"]
        page.until("document.querySelectorAll('.neighbourhood .node').length >= 3")
        assert TOKEN not in page.value("location.href + document.documentElement.outerHTML")
        go(page, "#/user/nobody")
        page.until_text("knows nothing of the user", "main")
        page.press_on("#key summary")
        page.press_on("#forget")
        page.until_text("The look-up token is needed", "main")
        assert page.value("sessionStorage.length + localStorage.length") == 0


def test_ids_are_text_whatever_they_hold(browser: Browser, server: Server) -> None:
    with with_token(browser, server, width=375, height=800) as page:
        for hostile in HOSTILE:
            for view, part in (("user", "Graph around the user"), ("item", "Clicked next")):
                go(page, route(view, hostile))
                page.until_text(part, "main")
                page.until(heading_is(hostile if view == "user" else f"{hostile} title"))
                page.until(NO_SCROLLING)
        go(page, route("user", SCRIPT))
        for hostile in HOSTILE:
            link = page.value(f"'#/item/' + encodeURIComponent({json.dumps(hostile)})")
            found = json.dumps(f"main a[href={json.dumps(link)}]")
            page.until(f"document.querySelector({found})")
        assert page.value("document.querySelectorAll('main img, main script').length") == 0
        assert page.value("window.broken ?? null") is None


def test_items_are_links_and_the_browser_s_back_leads_back(
    browser: Browser, server: Server
) -> None:
    with with_token(browser, server, "#/trending") as page:
        page.press_on("main a[href='#/item/lamp']")
        page.until(heading_is("Desk lamp"))
        page.value("history.back()")
        page.until_text("Trending", "h1")
        page.value("history.forward()")
        page.until(heading_is("Desk lamp"))


def test_all_of_it_can_be_done_by_keyboard(browser: Browser, server: Server) -> None:
    with with_token(browser, server) as page:
        page.press("Tab")
        assert page.focused() == "skip"
        page.press("Enter")
        assert page.focused() == "main"
        seen = []
        while not seen or seen[-1] != "skip":
            page.press("Tab", shift=True)
            seen.append(page.focused())
        assert seen[1:] == ["Look up", "wanted", "kind", "Trending", "Live", "freshrec", "skip"]
        while page.focused() != "wanted":
            page.press("Tab")
        assert page.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.type("u")
        page.press("Enter")
        # What was shown before speaks of windows, too; the announcement comes after the focus.
        page.until_text("User u", "#announcement")
        assert page.focused() == "main"
        page.until_text("Window", "main")
        page.press("Tab")
        assert page.value("document.activeElement.getAttribute('href')") == "#/item/lamp"
        page.press("Enter")
        page.until_text("Clicked next", "main")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_stands_out_from_its_ground(browser: Browser, server: Server, dark: bool) -> None:
    with with_token(browser, server, dark=dark) as page:
        paper = page.value("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", paper))) < 150) is dark
        for view in VIEWS:
            go(page, view)
            page.until(SETTLED)
            assert page.value(WEAK_TEXTS) == []


# WCAG 2 wants 4.5 to 1. What has no ground of its own stands on that of what it is in.
WEAK_TEXTS = """
(() => {
  const light = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const bare = (node) => getComputedStyle(node).backgroundColor === "rgba(0, 0, 0, 0)";
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const weak = new Set();
  while (walk.nextNode()) {
    const owner = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !owner.checkVisibility()) continue;
    if (owner.closest(".unseen, noscript, title")) continue;
    let ground = owner;
    while (bare(ground) && ground.parentElement) ground = ground.parentElement;
    const style = getComputedStyle(owner);
    const ink = light(owner instanceof SVGElement ? style.fill : style.color);
    const paper = light(getComputedStyle(ground).backgroundColor);
    const contrast = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    if (contrast < 4.5) weak.add(`${owner.textContent.slice(0, 40)}: ${contrast.toFixed(2)}`);
  }
  return [...weak];
})()
"""


def test_a_phone_is_wide_enough(browser: Browser, server: Server) -> None:
    with with_token(browser, server, width=375, height=800) as page:
        for view in VIEWS:
            go(page, view)
            page.until(SETTLED)
            page.until(NO_SCROLLING)
        page.press_on("#key summary")
        page.until(NO_SCROLLING)


def test_a_worker_that_goes_away_is_told_of_and_its_figures_stay(
    browser: Browser, worker: Any
) -> None:
    with running_server(worker) as server, opened(browser, server, hasty=True) as page:
        page.until_text("since the start", "main")
        server.stop()
        page.until_text("The worker does not answer", "main .notice")
        page.until_text("no answer since", "#link-words")
        assert page.text("#announcement") == "The worker does not answer."
        assert "since the start" in page.text("section[aria-label=Clicks]")


def test_the_browser_refuses_what_the_policy_forbids(browser: Browser, server: Server) -> None:
    script = "Object.assign(document.createElement('script'), {text: 'window.broken = 1'})"
    with opened(browser, server) as page:
        page.value(f"document.body.append({script})")
        assert page.value("window.broken ?? null") is None
        page.until_complaint("Content Security Policy")
        page.complaints.clear()


def test_continuous_integration_brings_the_browser() -> None:
    assert "need chromium chromium" in (Path(__file__).parents[2] / ".ci/run").read_text()
