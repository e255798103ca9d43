// Quality: whether the lists had the next click on them, and what they were made with.

import { bar, setPart } from "./chart.js";
import { fill, html, write } from "./element.js";
import { headed, part } from "./part.js";
import { KEPT_SECONDS } from "./reading.js";
import { row, tableOf } from "./table.js";
import { DEGRADED, MADE_BY, NOTHING, count, share, span, words } from "./wording.js";

const COLOURS = { "bert+graph": "one", graph: "two", popular: "three" };

/** The hit rate of the lists, beside what the graph alone and popularity would have had. */
export function hits() {
  const figure = html("strong", { class: "figure" }, NOTHING);
  const judged = html("span", { class: "beside" });
  const columns = [{ title: "What" }, { title: "Share" }, { title: "Bar" }];
  const rows = [
    ["these lists", "one"],
    ["graph alone", "two"],
    ["popularity", "three"],
  ].map(([title, kind]) => {
    const value = html("td", { class: "number" }, NOTHING);
    const length = bar(0, kind);
    return { value, length, node: row([title, value, html("td", { class: "room" }, length)], columns) };
  });
  const node = headed(
    "Next click on the list",
    "quarter",
    judged,
    html("p", { class: "headline" }, figure, html("span", { class: "unit" }, "of lists of 10")),
    tableOf(
      {
        kind: "bars",
        caption: "Share of the judged lists of 10 that had the next click",
        columns,
        headUnseen: true,
      },
      html(
        "tbody",
        {},
        rows.map((one) => one.node),
      ),
    ),
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

/** What made the lists, and why some were made with less than the encoder. */
export function makers() {
  const strip = html("div", { class: "strip", "aria-hidden": "true" });
  const pieces = new Map();
  const made = html("tbody");
  const less = html("tbody");
  const lately = html("span");
  const columns = [
    { title: "What", unseen: true },
    { title: lately, kind: "number" },
    { title: "Since the start", kind: "number" },
  ];
  const node = part(
    "What made the lists",
    "",
    strip,
    tableOf({ caption: "Lists by what made them", columns }, made, less),
  );
  function draw(readings) {
    const { servedBy, degraded } = readings.newest;
    const reach = readings.reach(KEPT_SECONDS);
    write(lately, reach ? `Last ${span(reach)}` : "Lately");
    const makers = Object.keys(servedBy).map((name) => [
      name,
      MADE_BY[name] ?? words(name),
      COLOURS[name] ?? "four",
    ]);
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
    fill(
      made,
      makers.map(([name, title, kind]) => {
        const swatch = html("span", { class: `swatch ${kind}`, "aria-hidden": "true" });
        const part = all ? share(grown("servedBy", name) / all) : NOTHING;
        return row([[swatch, title], part, count(servedBy[name])], columns);
      }),
    );
    const reasons = Object.keys(degraded).filter((name) => degraded[name] > 0);
    fill(
      less,
      html(
        "tr",
        { class: "group" },
        html(
          "th",
          { colspan: 3, scope: "rowgroup" },
          reasons.length
            ? "Made with less than the encoder, because"
            : "None had to be made with less than the encoder.",
        ),
      ),
      reasons.map((name) => {
        const part = all ? share(grown("degraded", name) / all) : NOTHING;
        return row([DEGRADED[name] ?? words(name), part, count(degraded[name])], columns);
      }),
    );
  }
  return { node, draw };
}
