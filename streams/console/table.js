// Tables: with a caption, headings, and a name for every row.

import { html } from "./element.js";

/**
 * A table. `columns` are {title, kind, unseen}: `kind` is the class of the column's cells, an
 * `unseen` title is for screen readers. `rows` are lists of cells, the first of which names the row.
 * The caption is seen only where it says more than the heading above: `captionSeen`.
 */
export function table({ kind, caption, captionSeen = false, columns, rows }) {
  const body = html(
    "tbody",
    {},
    rows.map((cells) => row(cells, columns)),
  );
  return tableOf({ kind, caption, captionSeen, columns }, body);
}

/** A table of `bodies`, whose rows come and change later; see `row`. */
export function tableOf({ kind = null, caption, captionSeen = false, columns, headUnseen = false }, ...bodies) {
  return html(
    "table",
    { class: kind },
    html("caption", { class: captionSeen ? null : "unseen" }, caption),
    html("thead", { class: headUnseen ? "unseen" : null }, html("tr", {}, columns.map(heading))),
    bodies,
  );
}

/** A row of a table with such columns: a cell is content, or a `td` that somebody fills later. */
export function row(cells, columns) {
  return html(
    "tr",
    {},
    cells.map((cell, place) => cellOf(cell, place, columns)),
  );
}

function heading({ title, kind, unseen }) {
  return html("th", { scope: "col", class: kind }, unseen ? html("span", { class: "unseen" }, title) : title);
}

function cellOf(cell, place, columns) {
  if (cell instanceof HTMLTableCellElement) return cell;
  const { kind } = columns[place];
  return place === 0 ? html("th", { scope: "row", class: kind }, cell) : html("td", { class: kind }, cell);
}
