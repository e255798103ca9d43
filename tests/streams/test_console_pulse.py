"""The console asks on, whatever the worker answers, and says what is the matter."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from streams.health import STALL_SECONDS, Health
from streams.lookup_access import LookupAccess
from streams.serving import Answer, Answers, Server
from tests.browser import Browser, Page
from tests.streams.api_world import TOKEN, make_world, running_server, worker_of
from tests.streams.console_pages import HASTE, enter_token, go, opened, with_token

LIVE = "/live"


@pytest.fixture(scope="module")
def worker() -> Any:
    return worker_of(make_world())


@pytest.fixture(scope="module")
def server(worker: Any) -> Iterator[Server]:
    with running_server(worker) as running:
        yield running


class Ear:
    """Hears what is asked of the server; answers to `/live` itself where it has an answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.heard: list[str] = []
        self.answer: Answer | None = None
        theirs = Answers.answer

        def answer(answers: Answers, target: str, *request: Any) -> Answer:
            self.heard.append(target)
            mine = self.answer if target == LIVE else None
            return mine or theirs(answers, target, *request)

        monkeypatch.setattr(Answers, "answer", answer)


@pytest.fixture
def ear(monkeypatch: pytest.MonkeyPatch) -> Ear:
    return Ear(monkeypatch)


def beats(page: Page, many: int) -> None:
    """Let the page live through the time of so many beats."""
    page.value(f"new Promise((done) => setTimeout(done, {many * 1000}))")


NO_FIGURES = [
    (Answer(HTTPStatus.INTERNAL_SERVER_ERROR, b'{"error": "Oh."}'), "answers 500", "Oh."),
    (Answer(HTTPStatus.BAD_GATEWAY, b"<h1>Bad"), "answers 502", "The worker answered 502."),
    (Answer(HTTPStatus.OK, b"<h1>Log in"), "not understood", "No JSON came."),
    (Answer(HTTPStatus.OK, b"null"), "not understood", "No JSON came."),
    (Answer(HTTPStatus.OK, b'{"totals": []}'), "not understood", "no figures of a worker"),
]


def test_it_asks_on_after_answers_that_are_none(browser: Browser, server: Server, ear: Ear) -> None:
    with opened(browser, server, hasty=True) as page:
        page.until_text("since the start", "main")
        for answer, link, words in NO_FIGURES:
            ear.answer = answer
            page.until_text(link, "#link-words")
            page.until_text(words, "main .notice.grave")
            page.until_text("what it said last", "main .notice")
            assert page.text("#announcement") == page.text("main .notice strong") + "."
        assert "since the start" in page.text("section[aria-label=Clicks]")
        ear.answer = None
        page.until_text("live", "#link-words")
        page.until("document.querySelector('main .notice') === null")


def test_nothing_is_asked_while_nobody_sees_the_page(
    browser: Browser, server: Server, ear: Ear
) -> None:
    seen = "document.dispatchEvent(new Event('visibilitychange'))"
    hide = "Object.defineProperty(document, 'hidden', { configurable: true, value: true })"
    with opened(browser, server, hasty=True) as page:
        page.value(f"{hide}; {seen}")
        beats(page, HASTE)  # one that was under way has ended
        before = len(ear.heard)
        beats(page, HASTE)
        assert len(ear.heard) == before
        page.value(f"delete document.hidden; {seen}")
        page.until_text("live", "#link-words")
        beats(page, 3)
        assert set(ear.heard[before:]) == {LIVE}


def test_a_worker_that_stands_still_is_told_of_in_red(browser: Browser) -> None:
    worker = worker_of(make_world())
    now = [0.0]
    worker.health = Health(lambda: now[0])
    worker.health.beat()
    with running_server(worker) as server, opened(browser, server, hasty=True) as page:
        now[0] = 2 * STALL_SECONDS
        page.until_text("stands still for 2 min", "#link-words")
        page.until_text("silent for 2 min", "main .notice.grave")
        page.until_text("no, has stood still for 2 min", "section[aria-label='This worker']")
        assert page.text("#announcement") == "The worker stands still."
        red = page.value("getComputedStyle(document.querySelector('dd.bad')).color")
        assert page.value("getComputedStyle(document.querySelector('#link')).color") == red
        worker.health.beat()
        page.until_text("live", "#link-words")
        page.until("document.querySelector('main .notice') === null")


REFUSED = "Object.defineProperty(window, 'sessionStorage', { get() { throw new Error('no'); } })"


def test_live_figures_wait_for_the_token_and_take_it_where_nothing_can_be_stored(
    browser: Browser, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LookupAccess, "is_this_machine", lambda *_: False)
    with opened(browser, server, before=REFUSED, link="token needed") as page:
        page.until_text("The look-up token is needed", "main .notice")
        enter_token(page, "клюЧ")
        page.until_text("no header can carry others", "#token-fault")
        assert page.focused() == "token"
        page.press("Escape")
        assert page.focused() == "Enter the token"
        assert page.value("document.getElementById('token').value") == ""
        page.press("Enter")
        page.type("wrong")
        page.press("Enter")
        page.until_text("The worker does not take the token", "main .notice")
        assert page.text("#announcement") == "The worker does not take the token."
        assert page.focused() == "main"
        enter_token(page, TOKEN)
        page.until_text("live", "#link-words")
        page.until_text("12 since the start", "section[aria-label=Clicks]")
        go(page, "#/item/lamp")
        page.until_text("Clicked next", "main")
        page.press_on("#key summary")
        page.press_on("#forget")
        page.until_text("token needed", "#link-words")
        page.until_text("The look-up token is needed", "main .notice")
        assert page.focused() == "Token"
        page.press_on("#key summary")
        page.until("document.getElementById('key').open")
        page.press_on("#link")
        page.until("!document.getElementById('key').open")


def test_a_look_up_of_the_same_again_asks_again(browser: Browser, server: Server, ear: Ear) -> None:
    with with_token(browser, server, "#/item/lamp") as page:
        page.until_text("Clicked next", "main")
        page.press_on("#look-up button")
        page.until("document.querySelector('main [aria-busy]') === null")
        go(page, "#/trending")
        page.until_text("× ", "main")
        page.press_on("nav a[href='#/trending']")
        page.until("document.querySelector('main [aria-busy]') === null")
        assert page.focused() == "main"
    looked_up = [target for target in ear.heard if target.startswith(("/graph", "/trending"))]
    assert looked_up == ["/graph/item/lamp"] * 2 + ["/trending?limit=50"] * 2
