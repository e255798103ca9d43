// Pace: how much the worker does a second, and how soon after a click its list is out.

import { columns, timeChart } from "./chart.js";
import { fill, html, write } from "./element.js";
import { headed, note, part } from "./part.js";
import { KEPT_SECONDS, OBJECTIVE, quantile, shareWithin } from "./reading.js";
import { row, tableOf } from "./table.js";
import { NOTHING, bound, count, delay, plural, rate, share } from "./wording.js";

const HEADLINE_SECONDS = 10;
const SMOOTH_SECONDS = 2;
const DELAY_SECONDS = 60;
const DELAY_POINT_SECONDS = 10;

/** Clicks or lists a second; `take` gives the total of a reading. */
export function throughput(title, take) {
  const figure = html("strong", { class: "figure" }, NOTHING);
  const total = html("span", { class: "beside" });
  const chart = timeChart({
    title: `${title} a second`,
    seconds: KEPT_SECONDS,
    words: rate,
    series: [{ title: `${title} a second`, kind: "one" }],
  });
  const node = headed(
    title,
    "quarter",
    total,
    html("p", { class: "headline" }, figure, html("span", { class: "unit" }, "/s")),
    chart.node,
  );
  function draw(readings) {
    write(figure, rate(readings.rate(take, HEADLINE_SECONDS)));
    write(total, `${count(take(readings.newest))} since the start`);
    chart.draw(readings.rows((place) => readings.rate(take, SMOOTH_SECONDS, place)));
  }
  return { node, draw };
}

/** The delay from click to list, against the objective. */
export function freshness() {
  const half = html("strong", { class: "figure" }, NOTHING);
  const most = html("strong", { class: "figure" }, NOTHING);
  const verdict = html("span", { class: "verdict" });
  const chart = timeChart({
    title: "From click to list",
    seconds: KEPT_SECONDS,
    words: delay,
    limit: OBJECTIVE.seconds,
    series: [
      { title: "p50", kind: "one" },
      { title: "p99", kind: "two" },
    ],
  });
  const node = headed(
    "From click to list",
    "quarter",
    verdict,
    html(
      "p",
      { class: "headline" },
      html("span", { class: "pair" }, html("span", { class: "mark-of one" }, "p50"), half),
      html("span", { class: "pair" }, html("span", { class: "mark-of two" }, "p99"), most),
    ),
    chart.node,
  );
  function draw(readings) {
    const edges = readings.newest.delayEdges;
    const counts = readings.delays(DELAY_SECONDS);
    write(half, delay(quantile(counts, edges, 0.5)));
    write(most, delay(quantile(counts, edges, 0.99)));
    const within = shareWithin(counts, edges, OBJECTIVE.seconds);
    const kept = within !== null && within >= OBJECTIVE.share;
    verdict.className = `verdict ${within === null ? "" : kept ? "good" : "bad"}`;
    write(verdict, within === null ? "no lists now" : kept ? "objective kept" : "objective missed");
    chart.draw(
      readings.rows(
        ...[0.5, 0.99].map(
          (part) => (place) => quantile(readings.delays(DELAY_POINT_SECONDS, place), edges, part),
        ),
      ),
    );
  }
  return { node, draw };
}

/** How the delays of the last minute are spread. */
export function delays() {
  const chart = columns();
  const said = note();
  const body = html("tbody");
  const titles = [{ title: "Within" }, { title: "Lists" }];
  const figures = tableOf(
    { kind: "unseen", caption: "Lists of the last minute by delay", columns: titles },
    body,
  );
  const node = part("Delays of the last minute", "", chart.node, said, figures);
  function draw(readings) {
    const edges = readings.newest.delayEdges;
    const counts = readings.delays(DELAY_SECONDS);
    const all = counts.reduce((sum, many) => sum + many, 0);
    const most = Math.max(1, ...counts);
    const bounds = counts.map((_, bucket) =>
      bucket < edges.length
        ? `up to ${bound(edges[bucket])}`
        : `over ${bound(edges[edges.length - 1])}`,
    );
    chart.draw(
      counts.map((many, bucket) => ({
        title: `${bounds[bucket]}: ${count(many)} of ${count(all)}`,
        part: many / most,
        kind: edges[bucket] <= OBJECTIVE.seconds ? "one" : "late",
        mark: bucket < edges.length ? bound(edges[bucket]) : "more",
      })),
    );
    const within = shareWithin(counts, edges, OBJECTIVE.seconds);
    write(
      said,
      within === null
        ? "No list was published in the last minute."
        : `${share(within)} of ${plural(all, "list")} within ${bound(OBJECTIVE.seconds)}; the objective is ${share(OBJECTIVE.share)}.`,
    );
    fill(
      body,
      counts.map((many, bucket) =>
        many ? row([bounds[bucket], count(many)], titles) : null,
      ),
    );
  }
  return { node, draw };
}
