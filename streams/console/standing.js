// Standing: how far behind the worker is, what it holds, and whether it is ready.

import { bar, setPart } from "./chart.js";
import { fill, html, name, write } from "./element.js";
import { note, part } from "./part.js";
import { NOTHING, bytes, count, delay, plural, span } from "./wording.js";

const MOST_PARTITIONS = 16;

/** The partitions that are read, and what is not yet read of each. */
export function partitions() {
  const said = note();
  const body = html("tbody");
  const rows = new Map();
  const titles = ["Topic", "Partition", "Not yet read"];
  const node = part(
    "Partitions",
    "",
    html(
      "table",
      { class: "bars" },
      html(
        "caption",
        { class: "unseen" },
        "Partitions that this worker reads, and the records not yet read of each",
      ),
      html(
        "thead",
        {},
        html(
          "tr",
          {},
          titles.map((title, place) => html("th", { scope: "col", class: place ? "number" : null }, title)),
          html("th", { scope: "col" }, html("span", { class: "unseen" }, "Bar")),
        ),
      ),
      body,
    ),
    said,
  );
  function draw(readings) {
    const { lags } = readings.newest;
    const all = lags.reduce((sum, { records }) => sum + records, 0);
    const shown =
      lags.length <= MOST_PARTITIONS
        ? lags
        : [...lags].sort((a, b) => b.records - a.records).slice(0, MOST_PARTITIONS);
    const longest = Math.max(100, ...lags.map(({ records }) => records));
    const keyOf = ({ topic, partition }) => `${topic}/${partition}`;
    const wanted = shown.map(keyOf);
    if (wanted.join() !== [...rows.keys()].join()) {
      rows.clear();
      for (const lag of shown) rows.set(keyOf(lag), partitionRow(lag));
      fill(
        body,
        [...rows.values()].map((row) => row.node),
      );
    }
    for (const lag of shown) {
      const { value, length } = rows.get(keyOf(lag));
      write(value, count(lag.records));
      setPart(length, lag.records / longest);
    }
    write(
      said,
      !lags.length
        ? "This worker reads no partition now."
        : shown.length < lags.length
          ? `The ${shown.length} of ${count(lags.length)} that are furthest behind; ${plural(all, "record")} in all.`
          : all
            ? `${plural(all, "record")} in all.`
            : "Everything has been read.",
    );
  }
  return { node, draw };
}

function partitionRow({ topic, partition }) {
  const value = html("td", { class: "number" });
  const length = bar(0, "one");
  return {
    value,
    length,
    node: html(
      "tr",
      {},
      html("th", { scope: "row" }, name(topic)),
      html("td", { class: "number" }, String(partition)),
      value,
      html("td", { class: "room" }, length),
    ),
  };
}

/** What the worker says of itself. */
export function worker() {
  const list = html("dl", { class: "facts" });
  const node = part("This worker", "", list);
  const made = new Map();
  function draw(readings) {
    for (const [title, value, kind] of factsOf(readings.newest)) {
      if (!made.has(title)) {
        made.set(title, html("dd"));
        list.append(html("div", {}, html("dt", {}, title), made.get(title)));
      }
      write(made.get(title), value);
      made.get(title).className = kind ?? "";
    }
  }
  return { node, draw };
}

function factsOf(reading) {
  const { ready, waitingFor, model, state, rejects } = reading;
  const waits = Object.entries(waitingFor)
    .map(([part, why]) => `${part} (${why})`)
    .join(", ");
  return [
    ["Ready", ready ? "yes" : `no, waits for ${waits || "its parts"}`, ready ? "good" : "bad"],
    [
      "Model",
      model === null ? "none: lists come from the graph" : `${model.name} ${model.version}`,
      model === null ? "warn" : "",
    ],
    ["Runs on", model === null ? NOTHING : model.engine.replace(/ExecutionProvider$/, "")],
    ["Waiting for a list", plural(reading.queueUsers, "user")],
    [
      "Oldest click without a list",
      reading.oldestPendingSeconds ? delay(reading.oldestPendingSeconds) : "none",
    ],
    ["Windows in memory", plural(state.users, "user")],
    ["Graph", `${plural(state.items, "item")}, ${plural(state.edges, "edge")}`],
    ["Catalogue", plural(state.catalogue_items, "item")],
    ["Tables", bytes(state.bytes)],
    ["Clicks refused", count(rejects), rejects ? "warn" : ""],
    ["Duplicates", count(reading.duplicates)],
    ["Up for", span(reading.uptimeSeconds)],
    ["Version", reading.version],
  ];
}
