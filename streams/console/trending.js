// The view of what trends: items that are clicked more than they usually are.

import { bar } from "./chart.js";
import { html } from "./element.js";
import { itemLink } from "./item.js";
import { note } from "./part.js";
import { table } from "./table.js";
import { count, span, weight } from "./wording.js";

const COLUMNS = [
  { title: "Item" },
  { title: "Trend", kind: "number" },
  { title: "Bar", kind: "room", unseen: true },
  { title: "Popularity", kind: "number" },
  { title: "Clicks", kind: "number" },
];

/** What is shown of the list of trends, as the worker tells it. */
export function trendingView(trending) {
  const { items } = trending;
  if (!items.length) return note("Nothing trends: no item is clicked more than usual.");
  const strongest = Math.max(...items.map((item) => item.trend));
  const rows = items.map((item) => [
    itemLink(item.item_id, item.title),
    `× ${weight(item.trend)}`,
    bar(item.trend / strongest, "one"),
    weight(item.popularity.decayed),
    count(item.popularity.events),
  ]);
  const short = span(trending.short_half_life_seconds);
  const long = span(trending.long_half_life_seconds);
  return html(
    "div",
    { class: "part" },
    table({
      kind: "list",
      caption: "Items by how much more than usual they are clicked",
      columns: COLUMNS,
      rows,
    }),
    note(`× 2 is twice an item's usual rate: its clicks with a half-life of ${short} against ${long}.`),
  );
}
