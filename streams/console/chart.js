// Charts: lines over time, columns, and bars. They show what a table beside them says in figures.

import { fill, html, svg, write } from "./element.js";
import { row, tableOf } from "./table.js";
import { span, time } from "./wording.js";

const WIDTH = 300;
const HEIGHT = 56;
const SHORTEST_SECONDS = 60;

/** A bar in a cell: `part` of 1 of the room there is. */
export function bar(part, kind = "") {
  const node = html("span", { class: `bar ${kind}`, "aria-hidden": "true" });
  setPart(node, part);
  return node;
}

/** Set how long a bar, or how high a column, is. */
export function setPart(node, part) {
  node.style.setProperty("--part", Math.min(1, Math.max(0, part || 0)).toFixed(4));
}

/**
 * Lines over the last `seconds`, or what is known of them; time runs to the right and ends now.
 *
 * `series` are {title, kind}; `words` makes text of a value. `limit` is a value that is drawn as a
 * line of its own. Returns {node, draw}; draw takes [[ms, value of each series or null…]…].
 */
export function timeChart({ title, series, words, seconds, limit = null }) {
  const lines = series.map(({ kind }) => svg("path", { class: `line ${kind}` }));
  const area = svg("path", { class: `area ${series[0].kind}` });
  const limitLine = limit === null ? null : svg("line", { class: "limit", x1: 0, x2: WIDTH });
  const hand = svg("line", { class: "hand", y1: 0, y2: HEIGHT, visibility: "hidden" });
  const picture = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    area,
    limitLine,
    lines,
    hand,
  );
  const top = html("span", { class: "top" });
  const reading = html("span", { class: "reading" });
  const start = html("span");
  const scale = html(
    "div",
    { class: "scale", "aria-hidden": "true" },
    start,
    reading,
    html("span", {}, "now"),
  );
  const body = html("tbody");
  const columns = [{ title: "Time" }, ...series.map((one) => ({ title: one.title }))];
  const figures = tableOf({ kind: "unseen", caption: `${title}, the last minute`, columns }, body);
  const node = html("div", { class: "chart" }, html("div", { class: "plot" }, picture, top), scale, figures);
  let drawn = [];

  picture.addEventListener("pointermove", (event) => {
    if (!drawn.length) return;
    const box = picture.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * WIDTH;
    const nearest = drawn.reduce((best, point) =>
      Math.abs(point.x - at) < Math.abs(best.x - at) ? point : best,
    );
    hand.setAttribute("x1", nearest.x);
    hand.setAttribute("x2", nearest.x);
    hand.setAttribute("visibility", "visible");
    write(reading, `${time(nearest.ms)}: ${nearest.values.map(words).join(", ")}`);
  });
  picture.addEventListener("pointerleave", () => {
    hand.setAttribute("visibility", "hidden");
    write(reading, "");
  });

  function draw(points) {
    const end = points.length ? points[points.length - 1][0] : 0;
    const known = points.length ? (end - points[0][0]) / 1000 : 0;
    const reach = known < SHORTEST_SECONDS ? SHORTEST_SECONDS : Math.min(seconds, known);
    const highest = Math.max(
      limit ?? 0,
      ...points.flatMap(([, ...values]) => values.map((value) => value ?? 0)),
    );
    const ceiling = roundUp(highest);
    const y = (value) => HEIGHT - (value / ceiling) * (HEIGHT - 3) - 1;
    drawn = points.map(([ms, ...values]) => ({
      ms,
      values,
      x: WIDTH - ((end - ms) / (reach * 1000)) * WIDTH,
    }));
    lines.forEach((line, place) => line.setAttribute("d", path(drawn, place, y)));
    area.setAttribute("d", runs(drawn).map((run) => below(run, y)).join(""));
    if (limitLine !== null) {
      limitLine.setAttribute("y1", y(limit));
      limitLine.setAttribute("y2", y(limit));
    }
    write(start, `${span(reach)} ago`);
    write(top, points.length ? words(ceiling) : "");
    fill(
      body,
      lastMinute(points).map(([ms, ...values]) => row([time(ms), ...values.map(words)], columns)),
    );
  }
  return { node, draw };
}

function path(points, place, y) {
  let text = "";
  let pen = "M";
  for (const { x, values } of points) {
    const value = values[place];
    if (value === null) {
      pen = "M";
      continue;
    }
    text += `${pen}${x.toFixed(1)},${y(value).toFixed(1)}`;
    pen = "L";
  }
  return text;
}

/** The points in pieces, each without a point whose first value is not known. */
function runs(points) {
  const found = [[]];
  for (const point of points) {
    if (point.values[0] !== null) found[found.length - 1].push(point);
    else found.push([]);
  }
  return found.filter((run) => run.length > 1);
}

function below(run, y) {
  return `${path(run, 0, y)}L${run[run.length - 1].x.toFixed(1)},${HEIGHT}L${run[0].x.toFixed(1)},${HEIGHT}Z`;
}

/** Every tenth second of the last minute: what a screen reader can take in. */
function lastMinute(points) {
  if (!points.length) return [];
  const end = points[points.length - 1][0];
  return points.filter(([ms], place) => end - ms <= 60_000 && (points.length - 1 - place) % 10 === 0);
}

/** The next of 1, 2, 3, 5, 7.5, 10, 20, …: an axis that does not move with every value. */
function roundUp(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 3, 5, 7.5, 10].map((step) => step * power).find((step) => step >= value * 0.999);
}

/** Columns side by side, each with a title; `columns` are {title, part, kind, mark}. */
export function columns() {
  const node = html("div", { class: "columns", "aria-hidden": "true" });
  let made = [];
  function draw(list) {
    if (made.length !== list.length) {
      made = list.map(() => {
        const fillPart = html("span", { class: "column" });
        const mark = html("span", { class: "mark" });
        return { fillPart, mark, all: html("span", { class: "slot" }, fillPart, mark) };
      });
      fill(
        node,
        made.map(({ all }) => all),
      );
    }
    list.forEach(({ title, part, kind, mark }, place) => {
      const { fillPart, mark: below, all } = made[place];
      fillPart.className = `column ${kind}`;
      all.title = title;
      write(below, mark);
      setPart(fillPart, part);
    });
  }
  return { node, draw };
}
