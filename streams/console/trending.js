// The view of what trends: items that are clicked more than they usually are.

import { bar } from "./chart.js";
import { html, row } from "./element.js";
import { itemLink } from "./item.js";
import { count, weight } from "./wording.js";

const COLUMNS = [["Item", ""], ["Trend", "number"], ["", "room"], ["Popularity", "number"], ["Clicks", "number"]];

/** What is shown of the list of trends, as the worker tells it. */
export function trendingView({ items }) {
  if (!items.length) return html("p", { class: "note" }, "Nothing trends: no item is clicked more than usual.");
  const strongest = Math.max(...items.map((item) => item.trending), 1e-9);
  const cells = (item) => [
    itemLink(item.item_id, item.title),
    `× ${weight(item.trending)}`,
    bar(item.trending / strongest, "one"),
    weight(item.decayed),
    count(item.events),
  ];
  return html("section", { class: "part", "aria-label": "Trending items" },
    html("table", { class: "list" },
      html("caption", { class: "unseen" }, "Items by how much more they are clicked now than usual"),
      html("thead", {}, html("tr", {}, COLUMNS.map(([title, kind]) => html("th", { scope: "col", class: kind }, title || html("span", { class: "unseen" }, "Bar"))))),
      html("tbody", {}, items.map((item) => row(COLUMNS, cells(item))))),
    html("p", { class: "note" }, "A trend of × 2 is twice an item's usual rate of clicks."));
}
