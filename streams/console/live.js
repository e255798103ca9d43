// The live view: what the worker does at this moment, and whether it does it well.

import { bar, columns, setPart, timeChart } from "./chart.js";
import { fill, html, table, write } from "./element.js";
import { KEPT_SECONDS, OBJECTIVE, quantile, shareWithin } from "./reading.js";
import { NOTHING, bytes, count, delay, plural, rate, share, span, words } from "./wording.js";

const HEADLINE_SECONDS = 10;
const DELAY_SECONDS = 60;
const MADE_BY = [
  ["bert+graph", "encoder and graph", "one"],
  ["graph", "graph alone", "two"],
  ["popular", "popularity", "three"],
];
const DEGRADED = {
  cold_user: "nothing known of the user",
  model_missing: "no model",
  model_failed: "the model failed",
  deadline: "waited too long",
};

const clicks = (reading) => reading.clicks;
const lists = (reading) => reading.lists;

/** {node, draw}: draw takes the worker's `Readings`. */
export function liveView() {
  const parts = [throughput("Clicks", clicks), throughput("Lists", lists), freshness(), hits(), delays(), makers(), partitions(), worker()];
  const node = html(
    "div", { class: "live" },
    html("h1", { class: "unseen", tabindex: -1 }, "Live"),
    parts.map((part) => part.node),
  );
  function draw(readings) {
    if (readings.newest !== null) for (const part of parts) part.draw(readings);
  }
  return { node, draw };
}

function section(title, kind, ...children) {
  const heading = html("h2", {}, title);
  return html("section", { class: `part ${kind}`, "aria-label": title }, heading, children);
}

function throughput(title, take) {
  const figure = html("strong", { class: "figure" }, NOTHING);
  const total = html("span", { class: "beside" });
  const chart = timeChart({
    title: `${title} a second`, seconds: KEPT_SECONDS, words: rate,
    series: [{ title: `${title} a second`, kind: "one" }],
  });
  const node = section(title, "quarter", html("p", { class: "headline" }, figure, html("span", { class: "unit" }, "/s"), total), chart.node);
  function draw(readings) {
    write(figure, rate(readings.rate(take, HEADLINE_SECONDS)));
    write(total, `${count(take(readings.newest))} since the start`);
    chart.draw(readings.rows((place) => readings.rate(take, 2, place)));
  }
  return { node, draw };
}

function freshness() {
  const half = html("strong", { class: "figure" }, NOTHING);
  const most = html("strong", { class: "figure" }, NOTHING);
  const verdict = html("span", { class: "verdict" });
  const chart = timeChart({
    title: "From click to list", seconds: KEPT_SECONDS, words: delay, limit: OBJECTIVE.seconds,
    series: [{ title: "p50", kind: "one" }, { title: "p99", kind: "two" }],
  });
  const node = section(
    "From click to list", "quarter",
    html("p", { class: "headline" },
      html("span", { class: "pair" }, html("span", { class: "key one" }, "p50"), half),
      html("span", { class: "pair" }, html("span", { class: "key two" }, "p99"), most),
      verdict),
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
    write(verdict, within === null ? "no lists in the last minute" : kept ? "objective kept" : "objective missed");
    chart.draw(readings.rows(...[0.5, 0.99].map((part) => (place) => quantile(readings.delays(10, place), edges, part))));
  }
  return { node, draw };
}

function hits() {
  const figure = html("strong", { class: "figure" }, NOTHING);
  const judged = html("span", { class: "beside" });
  const rows = [["these lists", "one"], ["graph alone", "two"], ["popularity", "three"]].map(([title, kind]) => {
    const value = html("td", { class: "number" }, NOTHING);
    const length = bar(0, kind);
    return { value, length, node: html("tr", {}, html("th", { scope: "row" }, title), value, html("td", { class: "room" }, length)) };
  });
  const node = section(
    "Next click was on the list", "quarter",
    html("p", { class: "headline" }, figure, html("span", { class: "unit" }, "of lists of 10"), judged),
    html("table", { class: "bars" },
      html("caption", { class: "unseen" }, "Share of the judged lists of 10 that had the next click"),
      html("thead", { class: "unseen" }, html("tr", {}, ["What", "Share", "Bar"].map((title) => html("th", { scope: "col" }, title)))),
      html("tbody", {}, rows.map((row) => row.node))),
  );
  function draw(readings) {
    const { trials, hits: hit, graphHits, popularityHits } = readings.newest;
    const parts = [hit, graphHits, popularityHits].map((many) => (trials ? many / trials : null));
    const longest = Math.max(0.01, ...parts.map((part) => part ?? 0));
    write(figure, share(parts[0]));
    write(judged, trials ? `${count(trials)} judged` : "none judged yet");
    rows.forEach(({ value, length }, place) => {
      write(value, share(parts[place]));
      setPart(length, (parts[place] ?? 0) / longest);
    });
  }
  return { node, draw };
}

function delays() {
  const chart = columns();
  const words_ = html("p", { class: "note" });
  const body = html("tbody");
  const figures = html("table", { class: "unseen" },
    html("caption", {}, "Lists of the last minute by delay"),
    html("thead", {}, html("tr", {}, html("th", { scope: "col" }, "Within"), html("th", { scope: "col" }, "Lists"))), body);
  const node = section("Delays of the last minute", "half", chart.node, words_, figures);
  function draw(readings) {
    const edges = readings.newest.delayEdges;
    const counts = readings.delays(DELAY_SECONDS);
    const all = counts.reduce((sum, many) => sum + many, 0);
    const most = Math.max(1, ...counts);
    const titles = counts.map((_, bucket) =>
      bucket < edges.length ? `up to ${shortDelay(edges[bucket])}` : `over ${shortDelay(edges[edges.length - 1])}`);
    chart.draw(counts.map((many, bucket) => ({
      title: `${titles[bucket]}: ${count(many)} of ${count(all)}`,
      part: many / most,
      kind: edges[bucket] <= OBJECTIVE.seconds ? "one" : "late",
      mark: bucket < edges.length ? shortDelay(edges[bucket]) : "more",
    })));
    const within = shareWithin(counts, edges, OBJECTIVE.seconds);
    write(words_, within === null
      ? "No list was published in the last minute."
      : `${share(within)} of ${plural(all, "list")} within ${shortDelay(OBJECTIVE.seconds)}; the objective is ${share(OBJECTIVE.share)}.`);
    fill(body, counts.map((many, bucket) => (many ? html("tr", {}, html("th", { scope: "row" }, titles[bucket]), html("td", {}, count(many))) : null)));
  }
  return { node, draw };
}

function shortDelay(seconds) {
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds} s`;
}

function makers() {
  const strip = html("div", { class: "strip", "aria-hidden": "true" });
  const pieces = new Map();
  const made = html("tbody");
  const less = html("tbody");
  const headings = ["", "Last 5 min", "Since the start"].map((title, place) =>
    html("th", { scope: "col", class: place ? "number" : null }, title || html("span", { class: "unseen" }, "What")));
  const node = section(
    "What made the lists", "half", strip,
    html("table", { class: "lines" }, html("caption", { class: "unseen" }, "Lists by what made them"),
      html("thead", {}, html("tr", {}, headings)), made, less),
  );
  function draw(readings) {
    const { servedBy, degraded } = readings.newest;
    const others = Object.keys(servedBy).filter((name) => !MADE_BY.some(([known]) => known === name));
    const makers = [...MADE_BY, ...others.map((name) => [name, words(name), "four"])];
    const grown = (family, name) => readings.growth((reading) => reading[family][name] ?? 0, KEPT_SECONDS);
    const all = makers.reduce((sum, [name]) => sum + grown("servedBy", name), 0);
    for (const [name, title, kind] of makers) {
      if (!pieces.has(name)) {
        const piece = html("span", { class: `piece ${kind}` });
        pieces.set(name, piece);
        strip.append(piece);
      }
      const many = grown("servedBy", name);
      setPart(pieces.get(name), all ? many / all : 0);
      pieces.get(name).title = `${title}: ${all ? share(many / all) : NOTHING}`;
    }
    fill(made, makers.map(([name, title, kind]) => html("tr", {},
      html("th", { scope: "row" }, html("span", { class: `swatch ${kind}`, "aria-hidden": "true" }), title),
      html("td", { class: "number" }, all ? share(grown("servedBy", name) / all) : NOTHING),
      html("td", { class: "number" }, count(servedBy[name] ?? 0)))));
    const reasons = Object.keys(degraded).filter((name) => degraded[name] > 0);
    fill(less, html("tr", { class: "group" }, html("th", { colspan: 3, scope: "rowgroup" },
      reasons.length ? "Made with less than the encoder, because" : "None had to be made with less than the encoder.")),
    reasons.map((name) => html("tr", {},
      html("th", { scope: "row" }, DEGRADED[name] ?? words(name)),
      html("td", { class: "number" }, all ? share(grown("degraded", name) / all) : NOTHING),
      html("td", { class: "number" }, count(degraded[name])))));
  }
  return { node, draw };
}

function partitions() {
  const note = html("p", { class: "note" });
  const body = html("tbody");
  const rows = new Map();
  const node = section(
    "Partitions", "half",
    html("table", { class: "bars" },
      html("caption", { class: "unseen" }, "Partitions of this worker and the clicks not yet read of each"),
      html("thead", {}, html("tr", {}, html("th", { scope: "col" }, "Partition"), html("th", { scope: "col", class: "number" }, "Not yet read"),
        html("th", { scope: "col" }, html("span", { class: "unseen" }, "Bar")))), body),
    note,
  );
  function draw(readings) {
    const { partitions: held, partitionsTotal, group } = readings.newest;
    const longest = Math.max(100, ...held.map(({ lag }) => lag ?? 0));
    const named = new Set(held.map(({ number }) => number));
    for (const [number, { node: old }] of rows) if (!named.has(number)) { old.remove(); rows.delete(number); }
    for (const { number, lag } of held) {
      if (!rows.has(number)) rows.set(number, partitionRow(number));
      const { node: one, value, length } = rows.get(number);
      write(value, lag === null ? NOTHING : count(lag));
      setPart(length, (lag ?? 0) / longest);
      body.append(one);
    }
    write(note, held.length
      ? `${count(held.length)} of the ${plural(partitionsTotal, "partition")} of the group ${group}; the others are with other workers or unread.`
      : `None of the ${plural(partitionsTotal, "partition")} of the group ${group} is here now.`);
    if (held.length === partitionsTotal) write(note, `All ${plural(partitionsTotal, "partition")} of the group ${group} are here.`);
  }
  return { node, draw };
}

function partitionRow(number) {
  const value = html("td", { class: "number" });
  const length = bar(0, "one");
  return { value, length, node: html("tr", {}, html("th", { scope: "row" }, String(number)), value, html("td", { class: "room" }, length)) };
}

function worker() {
  const list = html("dl", { class: "facts" });
  const node = section("This worker", "half", list);
  const made = new Map();
  function draw(readings) {
    const facts = factsOf(readings);
    const titles = facts.map(([title]) => title).join("|");
    if (list.dataset.titles !== titles) {
      list.dataset.titles = titles;
      made.clear();
      fill(list, facts.map(([title]) => {
        const value = html("dd");
        made.set(title, value);
        return html("div", {}, html("dt", {}, title), value);
      }));
    }
    for (const [title, value, kind] of facts) {
      write(made.get(title), value);
      made.get(title).className = kind ?? "";
    }
  }
  return { node, draw };
}

function factsOf(readings) {
  const { ready, waitingFor, model, modelRefusal, state, queue, rejects, duplicates, uptimeSeconds, lookups } = readings.newest;
  const waits = Object.entries(waitingFor).map(([part, why]) => `${part} (${why})`).join(", ");
  const facts = [
    ["Ready", ready ? "yes" : `no, waits for ${waits || "its parts"}`, ready ? "good" : "bad"],
    ["Model", model === null ? "none: lists come from the graph" : `${model.name} ${model.version}`, model === null ? "warn" : ""],
  ];
  if (model?.engine) facts.push(["Runs on", model.engine.replace(/ExecutionProvider$/, "")]);
  if (modelRefusal) facts.push(["Model refused", modelRefusal, "bad"]);
  if (uptimeSeconds !== null) facts.push(["Up for", span(uptimeSeconds)]);
  facts.push(["Users waiting for a list", count(queue)]);
  for (const [title, value] of Object.entries(state.counts)) facts.push([title, count(value)]);
  for (const [title, value] of Object.entries(state.bytes)) facts.push([title, bytes(value)]);
  facts.push(["Clicks refused", count(rejects), rejects ? "warn" : ""]);
  facts.push(["Duplicates", count(duplicates)]);
  if (lookups !== null) facts.push(["Look-ups", lookups ? "on, with the token" : "off: no token is set"]);
  return facts;
}
