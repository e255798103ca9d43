// Drift: how a user's sessions differ from each other, and where their interest went.

import { bar } from "./chart.js";
import { html, name } from "./element.js";
import { note, part } from "./part.js";
import { routeTo } from "./route.js";
import { table } from "./table.js";
import { NOTHING, count, dateTime, share } from "./wording.js";

const MOST_SESSIONS = 12;
const MOST_LABELS = 10;
const UNLIKELY = 0.05;

/** What is shown of how a user's behaviour evolved, as the worker tells it. */
export function driftPart(evolution) {
  return html("div", { class: "split" }, sessionsPart(evolution), interestPart(evolution));
}

const SESSION_COLUMNS = [
  { title: "Session" },
  { title: "Events", kind: "number" },
  { title: "Mostly", kind: "mostly" },
  { title: "Changed", kind: "room" },
  { title: "Distance", kind: "number", unseen: true },
  { title: "Chance", kind: "number" },
];

function sessionsPart({ sessions, drift, measured_on: measure }) {
  const steps = new Map(drift.map((step) => [step.to_session, step]));
  const rows = sessions
    .map((session, place) => sessionRow(session, steps.get(place) ?? null, measure))
    .reverse()
    .slice(0, MOST_SESSIONS);
  const left =
    sessions.length > rows.length ? ` The newest ${rows.length} of ${count(sessions.length)} sessions.` : "";
  return part(
    "Drift between sessions",
    "wide-part",
    table({
      kind: "list drift",
      caption: "Sessions, newest first, and how much each differs from the one before",
      columns: SESSION_COLUMNS,
      rows,
    }),
    note(
      `Changed: how far the ${measure} are from those of the session before; the line is what chance alone would give.`,
      ` Chance: how often it would give as much.${left}`,
    ),
  );
}

function sessionRow(session, step, measure) {
  const known = step !== null && step.distance !== null;
  return [
    dateTime(Date.parse(session.start)),
    count(session.events),
    mostly(session, measure),
    known ? marked(bar(step.distance, isUnlikely(step) ? "two" : "three"), step.expected) : "",
    known ? share(step.distance) : NOTHING,
    known && step.p_value !== null ? share(step.p_value) : NOTHING,
  ];
}

const isUnlikely = (step) => step.p_value !== null && step.p_value < UNLIKELY;

/** A bar with a line at `place` of 1; null: without. */
function marked(length, place) {
  if (place === null) return length;
  const mark = html("span", { class: "expected" });
  mark.style.setProperty("--at", Math.min(1, place).toFixed(4));
  length.append(mark);
  return length;
}

function mostly(session, measure) {
  const best =
    measure === "categories"
      ? session.categories.map(({ category }) => category)
      : session.items.map((item) => item.title || item.item_id);
  return best.length ? best.slice(0, 3).map((one, place) => [place ? ", " : "", name(one)]) : NOTHING;
}

function interestPart({ interest, measured_on: measure }) {
  if (!interest.length) return part("Interest", "third", note("Nothing is known of it."));
  const columns = [
    { title: measure === "categories" ? "Category" : "Item" },
    { title: "Before", kind: "number" },
    { title: "Now", kind: "number" },
    { title: "Bar", kind: "room", unseen: true },
  ];
  const most = Math.max(...interest.flatMap(({ now, before }) => [now, before]), 1e-9);
  const rows = interest.slice(0, MOST_LABELS).map(({ label, title, now, before }) => {
    const shown = name(title || label);
    return [
      measure === "items" ? html("a", { href: routeTo("item", label) }, shown) : shown,
      share(before),
      share(now),
      marked(bar(now / most, "one"), before / most),
    ];
  });
  return part(
    "Interest",
    "third",
    table({
      kind: "list interest",
      caption: "Shares of the user's interest, now and as the last session began",
      columns,
      rows,
    }),
    note("Bars are now; the line is when the last session began."),
  );
}
