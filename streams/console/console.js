// The console: opens the view that the address names, and what the masthead asks for.

import { fill, html, name } from "./element.js";
import { itemView } from "./item.js";
import { keyField } from "./key.js";
import { liveView } from "./live.js";
import { show } from "./lookup.js";
import { pulse } from "./pulse.js";
import { parseRoute, routeTo } from "./route.js";
import { trendingView } from "./trending.js";
import { userView } from "./user.js";
import { Refusal, ask, pathOf } from "./worker.js";

const LONG_ID = 80; // in smaller letters beyond so many

const byId = (id) => document.getElementById(id);
const main = byId("main");
const key = keyField(tokenChanged);
const live = liveView();
const heart = pulse({
  live,
  isSeen: () => parseRoute(location.hash).view === "live",
  link: byId("link"),
  words: byId("link-words"),
  key,
  announce,
});

let leave = new AbortController();
let shown = null; // of a look-up: {view, id, head, content}

// --- views

/** Open the view of the address; returns what it is called. */
function open() {
  leave.abort(new DOMException("another view was opened", "AbortError"));
  leave = new AbortController();
  const { view, id } = parseRoute(location.hash);
  for (const link of document.querySelectorAll("[data-view]")) {
    if (link.dataset.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const title =
    { live: "Live", trending: "Trending" }[view] ?? `${view === "user" ? "User" : "Item"} ${id.slice(0, 60)}`;
  document.title = `${title} · freshrec worker`;
  if (view === "live") {
    shown = null;
    fill(main, heart.node, live.node);
  } else lookUp(view, id);
  return title;
}

/** Open the view of the address for somebody who went there: reading begins at its top. */
function goThere() {
  const title = open();
  window.scrollTo(0, 0);
  main.focus({ preventScroll: true });
  announce(title);
}

async function lookUp(view, id) {
  const signal = leave.signal;
  if (id !== null) {
    byId("kind").value = view;
    byId("wanted").value = id;
  }
  // The same again keeps what it shows until there is an answer.
  if (shown?.view !== view || shown.id !== id) {
    const content = html("div", {}, html("p", { class: "note" }, "Asking the worker …"));
    shown = { view, id, head: heading(view, id), content };
    fill(main, shown.head, content);
  }
  const { head, content } = shown;
  const asked = LOOK_UPS[view](id);
  const draw = (found) => {
    if (view === "item" && found.title && found.title !== id)
      fill(head, ...headingParts(`Item ${id}`, found.title));
    return asked.draw(found);
  };
  const ended = await show({ ...asked, draw, node: content, signal, key });
  if (ended) announce(ended);
}

function heading(view, id) {
  if (id === null) return html("h1", {}, "Trending");
  return html(
    "h1",
    { class: id.length > LONG_ID ? "long" : null },
    headingParts(view === "user" ? "User" : "Item", id),
  );
}

function headingParts(kind, title) {
  return [html("span", { class: "kind" }, name(kind)), name(title)];
}

const LOOK_UPS = {
  user: (id) => ({
    load: (signal) => loadUser(id, signal),
    draw: userView,
    missing:
      "This worker knows nothing of the user. Each worker knows the users of its own partitions: another one may.",
  }),
  item: (id) => ({
    load: (signal) => ask(pathOf("graph/item", id), { signal }),
    draw: itemView,
    missing: "No click and no catalogue entry of this item has reached the worker.",
  }),
  trending: () => ({
    load: (signal) => ask("trending?limit=50", { signal }),
    draw: trendingView,
    missing: "This worker has no list of trends.",
  }),
};

async function loadUser(id, signal) {
  const lookUps = ["graph/ego", "recommendations", "evolution"];
  const [ego, published, evolution] = await Promise.all(
    lookUps.map((lookUp) => orNothing(pathOf(lookUp, id), signal)),
  );
  if (ego === null && published === null) throw new Refusal(404, "");
  return { ego, published, evolution };
}

async function orNothing(path, signal) {
  try {
    return await ask(path, { signal });
  } catch (error) {
    if (error instanceof Refusal && error.status === 404) return null;
    throw error;
  }
}

// --- the masthead

function announce(words) {
  byId("announcement").textContent = words;
}

function tokenChanged(token) {
  open();
  heart.hurry();
  announce(token ? "The token is kept until this tab is closed." : "The token is forgotten.");
}

byId("look-up").addEventListener("submit", (event) => {
  event.preventDefault();
  const id = byId("wanted").value;
  if (id) goTo(routeTo(byId("kind").value, id));
});
document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#/"]');
  const elsewhere = event.ctrlKey || event.metaKey || event.shiftKey;
  if (link === null || elsewhere || link.getAttribute("href") !== location.hash) return;
  event.preventDefault();
  goThere();
});
byId("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the hash names the view
  main.focus();
});

/** Go to a view; one that is open already is asked for again. */
function goTo(hash) {
  if (hash === location.hash) goThere();
  else location.hash = hash;
}

window.addEventListener("hashchange", goThere);
open();
