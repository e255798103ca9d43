// The view of a user: the list they have and why, what they did, and the graph around them.

import { bar } from "./chart.js";
import { fill, html, name, row } from "./element.js";
import { itemLink } from "./item.js";
import { neighbourhood, strongest } from "./neighbourhood.js";
import { routeTo } from "./route.js";
import { timeline } from "./timeline.js";
import { NOTHING, dateTime, delay, exactTime, plural, share, span, weight, words } from "./wording.js";

const SESSION_GAP_MS = 30 * 60_000;
const hrefOf = (itemId) => routeTo("item", itemId);

/** What is shown of a user: `found` holds ego, recommendation and evolution, each of them or null. */
export function userView({ ego, recommendation, evolution }) {
  const events = ego === null ? [] : ego.window.map((event) => ({
    itemId: event.item_id, title: event.title || event.item_id, type: event.event_type, ms: Date.parse(event.timestamp),
  })).sort((a, b) => a.ms - b.ms);
  return [
    html("div", { class: "split" }, listPart(recommendation), graphPart(ego)),
    windowPart(events),
    driftPart(evolution),
  ];
}

function part(title, kind, ...children) {
  return html("section", { class: `part ${kind}`, "aria-label": title }, html("h2", {}, title), children);
}

// --- the list

function listPart(recommendation) {
  if (recommendation === null) return part("Current list", "third", html("p", { class: "note" }, "No list was published for this user by this worker."));
  const items = recommendation.items;
  const best = Math.max(...items.map((item) => item.score ?? 0), 1e-9);
  const made = Date.parse(recommendation.generated_at);
  const facts = [
    recommendation.served_by ? `made by ${recommendation.served_by}` : null,
    recommendation.degraded_reason ? words(recommendation.degraded_reason) : null,
    recommendation.latency_ms ? `${delay(recommendation.latency_ms.total / 1000)} after the click` : null,
    exactTime(made),
  ].filter(Boolean);
  return part("Current list", "third",
    html("p", { class: "note lead" }, facts.join(" · ")),
    html("ol", { class: "ranked" }, items.map((item, place) => ranked(item, item.rank ?? place + 1, best))));
}

function ranked(item, rank, best) {
  return html("li", {},
    html("span", { class: "rank" }, String(rank)),
    html("span", { class: "title" }, itemLink(item.item_id, item.title)),
    item.score === undefined || item.score === null ? null : html("span", { class: "score" },
      bar(item.score / best, "one"), html("span", {}, html("span", { class: "unseen" }, "score "), weight(item.score))),
    item.reasons?.length ? html("ul", { class: "why" }, item.reasons.map((reason) => html("li", {}, sentence(reason)))) : null);
}

/** A reason as a sentence. */
function sentence(reason) {
  const source = reason.item_id ? name(reason.title || reason.item_id) : "an item of the window";
  const age = reason.age_seconds === undefined || reason.age_seconds === null ? "" : `, last ${span(reason.age_seconds)} ago`;
  switch (reason.code) {
    case "CO_CLICKED": return ["follows ", source, reason.weight ? ` in ${share(reason.weight)} of what follows it${age}` : age];
    case "SEQUENCE": return ["the encoder expects it after ", source, reason.delta ? `, ${share(reason.delta)} of the score` : ""];
    case "OWN_HISTORY": return [`was in the user's own window${age}`];
    case "TRENDING": return "trends now";
    case "POPULAR": return "is popular";
    case "NEARBY": return "is nearby";
    case "NEW_ITEM": return ["is new in the catalogue", age ? age.replace("last ", "") : ""];
    case "EXPLORATION": return "was put in to learn about it";
    default: return words(reason.code.toLowerCase());
  }
}

// --- the graph

function graphPart(ego) {
  if (ego === null) return part("Graph around the user", "wide-part", html("p", { class: "note" }, "This worker does not have the user's window."));
  const titles = new Map(ego.window.map((event) => [event.item_id, event.title || event.item_id]));
  for (const node of ego.graph.nodes) if (node.title) titles.set(node.id, node.title);
  const user = ego.graph.nodes.find((node) => node.kind === "user")?.id;
  const own = new Map();
  const between = new Map();
  for (const edge of ego.graph.edges) {
    const isOwn = edge.source === user;
    const key = isOwn ? edge.target : JSON.stringify([edge.source, edge.target]);
    const all = isOwn ? own : between;
    const sum = all.get(key) ?? { itemId: edge.target, from: edge.source, to: edge.target, title: titles.get(edge.target) ?? edge.target, weight: 0, count: 0, lastMs: 0 };
    sum.weight += edge.weight;
    sum.count += edge.count;
    sum.lastMs = Math.max(sum.lastMs, edge.last_ms);
    all.set(key, sum);
  }
  const drawn = strongest([...own.values()].sort((a, b) => b.lastMs - a.lastMs), [...between.values()]);
  const room = html("div", { class: "room-for-picture" });
  drawnToWidth(room, (width) => neighbourhood(drawn, width, hrefOf));
  const columns = [["From", ""], ["To", ""], ["Weight", "number"], ["Clicks", "number"]];
  const edges = [...between.values()].sort((a, b) => b.weight - a.weight);
  return part("Graph around the user", "wide-part", room,
    html("p", { class: "note" }, "A line is as thick as its weight now.", drawn.left > 0 ? ` ${plural(drawn.left, "weaker item")} left out.` : ""),
    html("details", { class: "more" }, html("summary", {}, `${plural(edges.length, "edge")} as a table`),
      html("div", { class: "scrolled" }, html("table", { class: "list" },
        html("caption", { class: "unseen" }, "Edges between items, by weight"),
        html("thead", {}, html("tr", {}, columns.map(([title, kind]) => html("th", { scope: "col", class: kind }, title)))),
        html("tbody", {}, edges.slice(0, 100).map((edge) => row(columns, [
          itemLink(edge.from, titles.get(edge.from)), itemLink(edge.to, edge.title), weight(edge.weight), String(edge.count)])))))));
}

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

function windowPart(events) {
  if (!events.length) return part("Window", "", html("p", { class: "note" }, "Nothing is in the user's window."));
  const sessions = sessionsOf(events);
  const room = html("div");
  const words_ = html("p", { class: "note" });
  drawnToWidth(room, (width) => {
    const { node, shown } = timeline(sessions, width, hrefOf);
    words_.textContent = `${plural(events.length, "event")} in ${plural(sessions.length, "session")}, from ${dateTime(events[0].ms)} to ${dateTime(events[events.length - 1].ms)}.`
      + (shown < sessions.length ? ` The newest ${plural(shown, "session")} shown; all are in the table.` : "");
    return node;
  });
  const columns = [["Item", ""], ["Type", "kind"], ["Time", "number"]];
  const newestFirst = [...events].reverse();
  return part("Window", "", room, words_,
    html("details", { class: "more" }, html("summary", {}, "Events as a table"),
      html("table", { class: "list" },
        html("caption", { class: "unseen" }, "Events of the window, newest first"),
        html("thead", {}, html("tr", {}, columns.map(([title, kind]) => html("th", { scope: "col", class: kind }, title)))),
        html("tbody", {}, newestFirst.map((event) => row(columns, [itemLink(event.itemId, event.title), words(event.type), exactTime(event.ms)]))))));
}

function sessionsOf(events) {
  const sessions = [];
  for (const event of events) {
    const last = sessions[sessions.length - 1];
    if (last && event.ms - last[last.length - 1].ms <= SESSION_GAP_MS) last.push(event);
    else sessions.push([event]);
  }
  return sessions;
}
