// Parts: the sections that a view is made of.

import { html } from "./element.js";

/** A section under its heading; `kind` says how wide it is. */
export function part(title, kind, ...children) {
  return headed(title, kind, null, ...children);
}

/** A section with something said beside its heading. */
export function headed(title, kind, aside, ...children) {
  return html(
    "section",
    { class: `part ${kind}`, "aria-label": title },
    html("div", { class: "head" }, html("h2", {}, title), aside),
    children,
  );
}

/** What a view says below something, in a sentence or two. */
export const note = (...words) => html("p", { class: "note" }, words);
