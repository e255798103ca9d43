// The view of an item: what follows it, how popular it is, and what the catalogue says.

import { bar } from "./chart.js";
import { html, name, row } from "./element.js";
import { routeTo } from "./route.js";
import { count, exactTime, plural, share, weight, words } from "./wording.js";

const SHOWN = 50;

/** What is shown of an item; `item` as the worker tells it, `now` in epoch milliseconds. */
export function itemView(item) {
  const popularity = item.popularity;
  return [
    html("section", { class: "part", "aria-label": "About the item" },
      html("dl", { class: "facts wide" },
        fact("Clicks", count(popularity.events)),
        fact("Popularity", weight(popularity.decayed), "clicks, older ones counting for less"),
        fact("Trend", `× ${weight(popularity.trending)}`, "its rate now against its usual one"),
        fact("Can be recommended", item.available ? "yes" : "no: withdrawn or sold out", item.available ? "" : "bad"),
        fact("Categories", item.categories.length ? item.categories.map((one) => name(one, "tag")) : "none"),
      )),
    html("section", { class: "part", "aria-label": "What follows" },
      html("h2", {}, "Clicked next"),
      neighbours(item.neighbours)),
  ];
}

function fact(title, value, hint = "") {
  return html("div", {}, html("dt", {}, title), html("dd", { title: hint || null }, value));
}

/** A link to an item: its title, and its id where that says something else. */
export function itemLink(itemId, title) {
  const shown = title || itemId;
  return [html("a", { href: routeTo("item", itemId) }, name(shown)), shown === itemId ? null : [" ", name(itemId, "id")]];
}

const COLUMNS = [["Item", ""], ["Type", ""], ["Weight", "number"], ["Share", "room"], ["Clicks", "number"], ["Last", "when"]];

function neighbours(edges) {
  if (!edges.length) return html("p", { class: "note" }, "Nothing has been clicked after it yet.");
  const all = edges.reduce((sum, edge) => sum + edge.weight, 0);
  const heaviest = Math.max(...edges.map((edge) => edge.weight), 1e-9);
  const cells = (edge) => [
    itemLink(edge.item_id, edge.title),
    words(edge.event_type),
    weight(edge.weight),
    [bar(edge.weight / heaviest, "one"), html("span", { class: "unseen" }, share(all ? edge.weight / all : 0))],
    count(edge.count),
    exactTime(Date.parse(edge.last)),
  ];
  return [
    html("div", { class: "scrolled" },
      html("table", { class: "list" },
        html("caption", { class: "unseen" }, "Items clicked after this one, by decayed weight"),
        html("thead", {}, html("tr", {}, COLUMNS.map(([title, kind]) => html("th", { scope: "col", class: kind }, title)))),
        html("tbody", {}, edges.slice(0, SHOWN).map((edge) => row(COLUMNS, cells(edge)))))),
    html("p", { class: "note" }, edges.length > SHOWN
      ? `The ${SHOWN} heaviest of ${plural(edges.length, "edge")}.`
      : "A weight is a sum over clicks, halved with each half-life of their type."),
  ];
}
