// The view of an item: what follows it, how popular it is, and what the catalogue says.

import { bar } from "./chart.js";
import { html, name } from "./element.js";
import { note, part } from "./part.js";
import { routeTo } from "./route.js";
import { table } from "./table.js";
import { count, exactTime, plural, share, weight, words } from "./wording.js";

const SHOWN = 50;

/** What is shown of an item, as the worker tells it. */
export function itemView(item) {
  const { popularity, categories, available } = item;
  return [
    html(
      "dl",
      { class: "facts wide part" },
      fact("Clicks", count(popularity.events)),
      fact("Popularity", weight(popularity.decayed)),
      fact("Popularity of late", weight(popularity.trending)),
      fact("Can be recommended", available ? "yes" : "no: withdrawn or sold out"),
      fact("Categories", categories.length ? categories.map((one) => name(one, "tag")) : "none"),
    ),
    part("Clicked next", "", followers(item.neighbours)),
  ];
}

function fact(title, value) {
  return html("div", {}, html("dt", {}, title), html("dd", {}, value));
}

/** A link to an item: its title, and its id where that says something else. */
export function itemLink(itemId, title) {
  const shown = title || itemId;
  return [
    html("a", { href: routeTo("item", itemId) }, name(shown)),
    shown === itemId ? null : [" ", name(itemId, "id")],
  ];
}

const COLUMNS = [
  { title: "Item" },
  { title: "Type", kind: "kind" },
  { title: "Weight", kind: "number" },
  { title: "Share", kind: "room", unseen: true },
  { title: "Clicks", kind: "number" },
  { title: "Last", kind: "when" },
];

function followers(edges) {
  if (!edges.length) return note("Nothing has been clicked after it yet.");
  const all = edges.reduce((sum, edge) => sum + edge.weight, 0);
  const heaviest = Math.max(...edges.map((edge) => edge.weight), 1e-9);
  const rows = edges
    .slice(0, SHOWN)
    .map((edge) => [
      itemLink(edge.item_id, edge.title),
      words(edge.event_type),
      weight(edge.weight),
      [
        bar(edge.weight / heaviest, "one"),
        html("span", { class: "unseen" }, share(all ? edge.weight / all : 0)),
      ],
      count(edge.count),
      exactTime(Date.parse(edge.last)),
    ]);
  const most = edges.length > SHOWN ? `The ${SHOWN} heaviest of ${plural(edges.length, "edge")}. ` : "";
  return [
    table({ kind: "list", caption: "Items clicked after this one, heaviest first", columns: COLUMNS, rows }),
    note(most, "A weight is a sum over clicks, each halved with every half-life of its type."),
  ];
}
