"""The console's arithmetic: rates, delays and routes, reckoned by its modules in a real browser."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from streams.serving import Server
from tests.browser import Browser, Page
from tests.streams.api_world import make_world, running_server, worker_of
from tests.streams.console_pages import HOSTILE, opened


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server(worker_of(make_world())) as running:
        yield running


@pytest.fixture(scope="module")
def plain(browser: Browser, server: Server) -> Iterator[Page]:
    """A page to import modules into."""
    with opened(browser, server) as page:
        yield page


def test_rates_and_delays_come_from_the_difference_of_two_readings(plain: Page) -> None:
    assert plain.value("""(async () => {
      const { Readings, quantile, shareWithin } = await import("./console/reading.js");
      const readings = new Readings();
      const add = (second, clicks, delayCounts) =>
        readings.add({ atMs: second * 1000, uptimeSeconds: second, clicks, delayCounts });
      for (let second = 1; second < 61; second += 1) add(second, 110, [9, 9, 9, 9]);
      add(61, 700, [9, 109, 9, 10]);
      const edges = [0.1, 0.2, 1];
      const counts = readings.delays(59);
      return [
        counts, quantile(counts, edges, 0.5), shareWithin(counts, edges, 0.2),
        readings.rate((reading) => reading.clicks, 59),
      ];
    })()""") == [[0, 100, 0, 1], pytest.approx(0.1505), 100 / 101, 10]


def clicks_a_second(page: Page, readings: list[tuple[float, float, int]]) -> tuple[int, list[Any]]:
    """Of (clock, uptime, clicks): how many readings are kept, and the rates of a chart's rows."""
    kept, rates = page.value(f"""(async () => {{
      const {{ Readings }} = await import("./console/reading.js");
      const readings = new Readings();
      for (const [clock, uptimeSeconds, clicks] of {json.dumps(readings)})
        readings.add({{ atMs: clock * 1000, uptimeSeconds, clicks }});
      const rate = (place) => readings.rate((reading) => reading.clicks, 2, place);
      const rates = readings.rows(rate).map((row) => row[1]);
      return [readings.all.length, rates.map((one) => (Number.isNaN(one) ? "NaN" : one))];
    }})()""")
    return kept, rates


def test_a_worker_that_started_anew_is_not_compared_with_itself_before(plain: Page) -> None:
    younger = [(60, 60, 5), (61, 1, 700), (62, 2, 710)]
    assert clicks_a_second(plain, younger) == (2, [10])
    counted_less = [(60, 60, 900), (200, 70, 20), (201, 71, 30)]
    assert clicks_a_second(plain, counted_less) == (2, [10])


def test_a_clock_that_is_set_changes_no_rate(plain: Page) -> None:
    clocks = [100, 101, 5_000, 5_001, 7, 8]
    readings = [(clock, 50 + n, 10 * n) for n, clock in enumerate(clocks)]
    assert clicks_a_second(plain, readings) == (6, [10, 10, 10, 10, 10])


def test_what_was_not_seen_is_no_part_of_a_rate(plain: Page) -> None:
    # Two beats, a minute hidden, a beat, an answer that was missed, a beat.
    readings = [(n, n, 10 * n) for n in (1, 2, 62, 63, 67)]
    assert clicks_a_second(plain, readings) == (5, [10, None, 10, 10])


def test_the_same_answer_again_is_no_reading(plain: Page) -> None:
    assert clicks_a_second(plain, [(1, 1, 10), (2, 2, 20), (3, 2, 20)]) == (2, [10])


def test_a_delay_of_no_lists_is_not_known_and_one_beyond_all_edges_is_the_last(plain: Page) -> None:
    assert plain.value("""(async () => {
      const { quantile } = await import("./console/reading.js");
      return [quantile([0, 0], [0.1], 0.5), quantile([1, 0, 9], [0.1, 0.2], 0.5)];
    })()""") == [None, 0.2]


def test_readings_that_no_figure_needs_are_let_go(plain: Page) -> None:
    kept, rates = clicks_a_second(plain, [(n, n, 10 * n) for n in range(1, 1001)])
    assert kept <= 361
    assert rates == [10] * 301


def test_sessions_that_do_not_fit_are_left_out_the_oldest_first(plain: Page) -> None:
    shown, links = plain.value("""(async () => {
      const { timeline } = await import("./console/timeline.js");
      const event = (n) => ({ itemId: n, title: "", type: "click", ms: n * 1e7 });
      const sessions = [...Array(20).keys()].map((n) => [event(n)]);
      const { node, shown } = timeline(sessions, 400, (id) => `#${id}`);
      return [shown, [...node.querySelectorAll("a")].map((link) => link.getAttribute("href"))];
    })()""")
    assert 1 < shown < 20
    assert links == [f"#{n}" for n in range(20 - shown, 20)]


def test_a_route_gives_back_the_id_that_it_was_made_of(plain: Page) -> None:
    names = [*HOSTILE, "", "a/b", "100%", " ", "#/item/x"]
    assert names == plain.value(f"""(async () => {{
      const {{ parseRoute, routeTo }} = await import("./console/route.js");
      return {json.dumps(names)}.map((name) => parseRoute(routeTo("item", name)).id);
    }})()""")
