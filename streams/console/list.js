// The list that a user has, and why each item is on it.

import { bar } from "./chart.js";
import { html, name } from "./element.js";
import { itemLink } from "./item.js";
import { note, part as section } from "./part.js";
import { DEGRADED, MADE_BY, count, delay, exactTime, logit, share, span, weight, words } from "./wording.js";

const MOST_PATHS = 3;
const TITLE = "Current list";

/**
 * The list as it was published. Where the worker no longer has its scores and reasons, what the
 * graph says now is shown in their place: `edges` are those of the ego graph.
 */
export function listPart(published, edges) {
  if (published === null)
    return section(TITLE, "third", note("This worker has published no list for the user."));
  const isWhole = published.served_by !== null;
  const rows = isWhole ? asPublished(published.items) : asTheGraphSays(published.items, edges);
  return section(
    TITLE,
    "third",
    html("p", { class: "note lead" }, isWhole ? howItWasMade(published) : whenItWasMade(published)),
    html(
      "ol",
      { class: "ranked" },
      rows.map((row, place) => ranked(row, place + 1)),
    ),
  );
}

function whenItWasMade(published) {
  return [
    `${exactTime(Date.parse(published.generated_at))}. `,
    "Its scores are no longer held: bars and sources are what the graph says now.",
  ];
}

function howItWasMade({
  generated_at: instant,
  served_by: maker,
  degraded_reason: reason,
  latency_ms: latencyMs,
}) {
  const after = delay(latencyMs / 1000);
  const made = `${exactTime(Date.parse(instant))}, ${after} after the click came in, by ${MADE_BY[maker] ?? words(maker)}`;
  return reason === null ? `${made}.` : `${made}: ${DEGRADED[reason] ?? words(reason)}.`;
}

/** Scores are those of a conditional logit: a bar is how likely the item is beside the likeliest. */
function asPublished(items) {
  const best = Math.max(...items.map((item) => item.score));
  return items.map((item) => ({
    item,
    part: Math.exp(item.score - best),
    said: logit(item.score),
    label: "score",
    why: item.reasons.map(because),
  }));
}

/** A reason as a few words. */
function because({ code, item_id: itemId, title, weight: ofAll, delta, age_seconds: age }) {
  const source = itemId === null ? "the window" : name(title || itemId);
  const ago = age === null ? "" : `, ${span(age)} ago`;
  switch (code) {
    case "CO_CLICKED":
      return [share(ofAll), " of what follows ", source, ago];
    case "SEQUENCE":
      return ["the encoder, after ", source, delta === null ? "" : `: ${share(delta)} of the score`];
    case "OWN_HISTORY":
      return `the user's own history${ago}`;
    case "NEW_ITEM":
      return `new in the catalogue${ago}`;
    default:
      return words(code.toLowerCase());
  }
}

function asTheGraphSays(items, { own, between }) {
  const inWindow = new Set(own.map((edge) => edge.itemId));
  const rows = items.map((item) => {
    const paths = between.filter((edge) => edge.to === item.item_id && edge.from !== item.item_id);
    const why = [paths.length ? after(paths) : "no strong path from the window"];
    if (inWindow.has(item.item_id)) why.unshift("in the window");
    return { item, sum: paths.reduce((sum, edge) => sum + edge.weight, 0), why };
  });
  const most = Math.max(...rows.map((row) => row.sum), 1e-9);
  return rows.map(({ item, sum, why }) => ({
    item,
    part: sum / most,
    said: weight(sum),
    label: "weight of its paths",
    why,
  }));
}

function after(paths) {
  const sources = paths
    .slice(0, MOST_PATHS)
    .map((edge, place) => [place ? ", " : "after ", name(edge.fromTitle)]);
  const more = paths.length > MOST_PATHS ? ` and ${count(paths.length - MOST_PATHS)} more` : "";
  return [sources, more];
}

function ranked({ item, part, said, label, why }, rank) {
  return html(
    "li",
    {},
    html("span", { class: "rank", "aria-hidden": "true" }, String(rank)),
    html("span", { class: "title" }, itemLink(item.item_id, item.title)),
    html(
      "span",
      { class: "score" },
      bar(part, "one"),
      html("span", {}, html("span", { class: "unseen" }, `${label} `), said),
    ),
    html(
      "p",
      { class: "why" },
      why.map((one, place) => [place ? "; " : "", one]),
    ),
  );
}
