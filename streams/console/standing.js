// Standing: how far behind the worker is, what it holds, and whether it is ready.

import { bar, setPart } from "./chart.js";
import { fill, html, name, write } from "./element.js";
import { note, part } from "./part.js";
import { row, tableOf } from "./table.js";
import { bytes, count, delay, plural, span } from "./wording.js";

const LAG_OF_NOTE = 100; // records for which a bar is full, unless there are more
const TOPIC_COLUMNS = ["Topic", "Partitions", "Not yet read"];
const PARTITION_COLUMNS = ["Topic", "Partition", "Not yet read"];

/** The partitions that are read, and what is not yet read of them: by topic, and each. */
export function partitions() {
  const topics = lagTable(
    "Topics that this worker reads, and the records not yet read of each",
    TOPIC_COLUMNS,
  );
  const each = lagTable("Partitions, and the records not yet read of each", PARTITION_COLUMNS);
  const said = note();
  const title = html("summary");
  const node = part(
    "Partitions",
    "",
    topics.node,
    said,
    html("details", { class: "more" }, title, each.node),
  );
  function draw(readings) {
    const { lags } = readings.newest;
    topics.draw([...byTopic(lags)].map(([topic, { many, records }]) => [topic, many, records]));
    each.draw(lags.map(({ topic, partition, records }) => [topic, partition, records]));
    const all = lags.reduce((sum, { records }) => sum + records, 0);
    write(title, plural(lags.length, "partition"));
    write(
      said,
      !lags.length
        ? "This worker reads no partition now."
        : all
          ? `${plural(all, "record")} in all.`
          : "Everything has been read.",
    );
  }
  return { node, draw };
}

function byTopic(lags) {
  const topics = new Map();
  for (const { topic, records } of lags) {
    const sum = topics.get(topic) ?? { many: 0, records: 0 };
    topics.set(topic, { many: sum.many + 1, records: sum.records + records });
  }
  return topics;
}

/** A table of lag with bars; draw takes rows of a topic, a number and records, and keeps its rows. */
function lagTable(caption, titles) {
  const body = html("tbody");
  const columns = titles.map((title, place) => ({ title, kind: place ? "number" : null }));
  columns.push({ title: "Bar", kind: "room", unseen: true });
  const node = tableOf({ kind: "bars", caption, columns }, body);
  let made = [];
  let names = "";
  function draw(rows) {
    const wanted = JSON.stringify(rows.map(([topic, number]) => [topic, number]));
    if (wanted !== names) {
      names = wanted;
      made = rows.map(([topic, number]) => lagRow(topic, number, columns));
      fill(
        body,
        made.map((one) => one.node),
      );
    }
    const longest = Math.max(LAG_OF_NOTE, ...rows.map(([, , records]) => records));
    rows.forEach(([, , records], place) => {
      write(made[place].value, count(records));
      setPart(made[place].length, records / longest);
    });
  }
  return { node, draw };
}

function lagRow(topic, number, columns) {
  const value = html("td", { class: "number" });
  const length = bar(0, "one");
  return { value, length, node: row([name(topic), count(number), value, length], columns) };
}

const LONG_FACTS = ["Ready", "Model"];

/** What the worker says of itself. */
export function worker() {
  const list = html("dl", { class: "facts" });
  const node = part("This worker", "", list);
  const made = new Map();
  function draw(readings) {
    for (const [title, value, kind] of factsOf(readings.newest)) {
      if (!made.has(title)) {
        made.set(title, html("dd"));
        const row = html("div", { class: LONG_FACTS.includes(title) ? "row" : null });
        list.append(fill(row, html("dt", {}, title), made.get(title)));
      }
      write(made.get(title), value);
      made.get(title).className = kind ?? "";
    }
  }
  return { node, draw };
}

function named({ name: model, version, engine }) {
  return `${model} ${version} on ${engine.replace(/ExecutionProvider$/, "").toUpperCase()}`;
}

function whyNot({ stalledSeconds, waitingFor }) {
  if (stalledSeconds !== null) return `has stood still for ${span(stalledSeconds)}`;
  const waits = Object.entries(waitingFor).map(([part, why]) => `${part} (${why})`);
  return `waits for ${waits.join(", ") || "its parts"}`;
}

function factsOf(reading) {
  const { ready, model, state, rejects } = reading;
  return [
    ["Ready", ready ? "yes" : `no, ${whyNot(reading)}`, ready ? "good" : "bad"],
    [
      "Model",
      model === null ? "none: lists come from the graph" : named(model),
      model === null ? "warn" : "",
    ],
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
