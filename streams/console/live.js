// The live view: what the worker does at this moment, and whether it does it well.

import { html } from "./element.js";
import { delays, freshness, throughput } from "./pace.js";
import { hits, makers } from "./quality.js";
import { partitions, worker } from "./standing.js";

const clicks = (reading) => reading.clicks;
const lists = (reading) => reading.lists;
const nodes = (parts) => parts.map((part) => part.node);

/** {node, draw}: draw takes the worker's `Readings`. */
export function liveView() {
  const top = [throughput("Clicks", clicks), throughput("Lists", lists), freshness(), hits()];
  const left = [delays(), partitions()];
  const right = [makers(), worker()];
  const parts = [...top, ...left, ...right];
  const node = html(
    "div",
    { class: "live" },
    html("h1", { class: "unseen" }, "Live"),
    nodes(top),
    html("div", { class: "half" }, nodes(left)),
    html("div", { class: "half" }, nodes(right)),
  );
  function draw(readings) {
    if (readings.newest !== null) for (const part of parts) part.draw(readings);
  }
  return { node, draw };
}
