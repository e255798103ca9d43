// The view of a user: the list they have, what they did, and the graph around them.

import { driftPart } from "./drift.js";
import { edgesOf, eventsOf } from "./ego.js";
import { fill, html, write } from "./element.js";
import { itemLink } from "./item.js";
import { listPart } from "./list.js";
import { neighbourhood, strongest } from "./neighbourhood.js";
import { note, part } from "./part.js";
import { routeTo } from "./route.js";
import { table } from "./table.js";
import { timeline } from "./timeline.js";
import { count, dateTime, exactTime, plural, weight, words } from "./wording.js";

const MOST_EDGES = 100;
const hrefOf = (itemId) => routeTo("item", itemId);

/** What is shown of a user: `ego`, `published` and `evolution` as the worker tells them, or null. */
export function userView({ ego, published, evolution }) {
  const edges = ego === null ? { own: [], between: [] } : edgesOf(ego);
  return [
    html("div", { class: "split" }, listPart(published, edges), graphPart(ego, edges)),
    windowPart(ego === null ? [] : eventsOf(ego), evolution?.sessions ?? []),
    evolution === null ? null : driftPart(evolution),
  ];
}

// --- the graph

const EDGE_COLUMNS = [
  { title: "From" },
  { title: "To" },
  { title: "Weight", kind: "number" },
  { title: "Clicks", kind: "number" },
];

function graphPart(ego, { own, between }) {
  const title = "Graph around the user";
  if (ego === null) return part(title, "wide-part", note("This worker does not have the user's window."));
  const drawn = strongest(own, between);
  const room = html("div");
  drawnToWidth(room, (width) => neighbourhood(drawn, width, hrefOf));
  const left = drawn.left > 0 ? ` ${plural(drawn.left, "weaker item")} left out.` : "";
  const cut = between.length > MOST_EDGES;
  const edges = table({
    kind: "list",
    caption: `Edges between items, heaviest first${cut ? `: ${MOST_EDGES} of ${count(between.length)}` : ""}`,
    captionSeen: cut,
    columns: EDGE_COLUMNS,
    rows: between
      .slice(0, MOST_EDGES)
      .map((edge) => [
        itemLink(edge.from, edge.fromTitle),
        itemLink(edge.to, edge.title),
        weight(edge.weight),
        count(edge.count),
      ]),
  });
  return part(
    title,
    "wide-part",
    room,
    note(`The thicker a line, the greater its weight now.${left}`),
    folded(`${plural(between.length, "edge")} as a table`, edges),
  );
}

const folded = (title, ...children) =>
  html("details", { class: "more" }, html("summary", {}, title), children);

/** Draw into `node` at its width, now and whenever that changes. */
function drawnToWidth(node, draw) {
  let drawn = 0;
  new ResizeObserver(([entry]) => {
    const width = Math.floor(entry.contentRect.width);
    if (width === drawn || width < 50) return;
    drawn = width;
    fill(node, draw(width));
  }).observe(node);
}

// --- the window

const EVENT_COLUMNS = [{ title: "Item" }, { title: "Type", kind: "kind" }, { title: "Time", kind: "when" }];

function windowPart(events, told) {
  if (!events.length) return part("Window", "", note("Nothing is in the user's window."));
  const sessions = sessionsOf(events, told);
  const within = sessions.flat();
  const room = html("div");
  const said = note();
  const olderEvents = plural(events.length - within.length, "older event");
  const older = within.length < events.length ? ` ${olderEvents} only in the table.` : "";
  const draw = (width) => {
    const { node, shown } = timeline(sessions, width, hrefOf);
    const of = `${plural(within.length, "event")} in ${plural(sessions.length, "session")}`;
    const left =
      shown < sessions.length ? ` The newest ${plural(shown, "session")} shown; all are in the table.` : "";
    const span = `from ${dateTime(within[0].ms)} to ${dateTime(within[within.length - 1].ms)}`;
    write(said, `${of}, ${span}.${left}${older}`);
    return node;
  };
  if (sessions.length) drawnToWidth(room, draw);
  const rows = [...events]
    .reverse()
    .map((event) => [itemLink(event.itemId, event.title), words(event.type), exactTime(event.ms)]);
  const all = table({
    kind: "list",
    caption: "Events of the window, newest first",
    columns: EVENT_COLUMNS,
    rows,
  });
  return part("Window", "", room, said, folded("Events as a table", all));
}

/** The events of each of the worker's sessions, oldest first; what is older than all is of none. */
function sessionsOf(events, told) {
  const starts = told.map(({ start }) => Date.parse(start));
  const sessions = starts.map(() => []);
  for (const event of events) {
    const begun = starts.filter((start) => start <= event.ms).length;
    if (begun) sessions[begun - 1].push(event);
  }
  return sessions.filter((session) => session.length);
}
