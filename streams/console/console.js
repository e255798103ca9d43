// The console: opens the view that the address names, and asks the worker every second how it is.

import { fill, html, name, write } from "./element.js";
import { itemView } from "./item.js";
import { liveView } from "./live.js";
import { notice, show } from "./lookup.js";
import { Readings } from "./reading.js";
import { readLive } from "./reply.js";
import { parseRoute, routeTo } from "./route.js";
import { keepToken, readToken } from "./token.js";
import { trendingView } from "./trending.js";
import { userView } from "./user.js";
import { Refusal, Silence, ask, segment } from "./worker.js";
import { time } from "./wording.js";

const BEAT_MS = 1_000;
const LATER_MS = 3_000;
const LONG_ID = 80; // in smaller letters beyond so many

const byId = (id) => document.getElementById(id);
const main = byId("main");
const readings = new Readings();
const live = liveView();
const liveNotice = html("div");

let leave = new AbortController();
let first = true;

// --- views

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
  if (view === "live") fill(main, liveNotice, live.node);
  else lookUp(view, id);
  // The first view is where reading begins anyway; later ones must be told of.
  if (!first) {
    window.scrollTo(0, 0);
    main.focus({ preventScroll: true });
    announce(title);
  }
  first = false;
}

async function lookUp(view, id) {
  const content = html("div", {}, html("p", { class: "note" }, "Asking the worker …"));
  const signal = leave.signal;
  if (id !== null) {
    byId("kind").value = view;
    byId("wanted").value = id;
  }
  const head = heading(view, id);
  fill(main, head, content);
  const asked = LOOK_UPS[view](id);
  const draw = (found) => {
    if (view === "item" && found.title && found.title !== id)
      fill(head, ...headingParts(`Item ${id}`, found.title));
    return asked.draw(found);
  };
  const ended = await show({ ...asked, draw, node: content, signal, askForToken });
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
    load: (signal) => ask(`graph/item/${segment(id)}`, { signal }),
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
  const paths = [`graph/ego/${segment(id)}`, `recommendations/${segment(id)}`, `evolution/${segment(id)}`];
  const [ego, published, evolution] = await Promise.all(paths.map((path) => orNothing(path, signal)));
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

// --- the worker's pulse

async function beat() {
  let pause = BEAT_MS;
  try {
    readings.add(readLive(await ask("live")));
    live.node.classList.remove("stale");
    fill(liveNotice);
    tell("live", "live");
  } catch (error) {
    pause = LATER_MS;
    live.node.classList.add("stale");
    if (error instanceof Silence) silent();
    else if (error instanceof Refusal) refused(error);
    else throw error;
  }
  if (parseRoute(location.hash).view === "live") live.draw(readings);
  setTimeout(() => (document.hidden ? waitUntilSeen() : beat()), pause);
}

function waitUntilSeen() {
  document.addEventListener("visibilitychange", beat, { once: true });
}

function silent() {
  const since = readings.newest === null ? "" : ` since ${time(readings.newest.atMs)}`;
  tell("silent", `no answer${since}`);
  say(
    "The worker does not answer",
    readings.newest === null
      ? "It may be starting or stopped. This page goes on asking."
      : "What stands below is what it said last. This page goes on asking.",
    true,
  );
}

function refused(error) {
  if (error.status === 401) {
    const held = readToken() !== null;
    tell("refused", held ? "token refused" : "token needed");
    say(
      held ? "The worker does not take the token" : "The live figures need the look-up token",
      error.message,
      false,
      html("button", { type: "button", onclick: askForToken }, held ? "Enter another" : "Enter the token"),
      held
        ? html("button", { type: "button", class: "quiet", onclick: () => tokenChanged("") }, "Forget it")
        : null,
    );
  } else {
    tell("silent", `answers ${error.status}`);
    say("The worker cannot answer now", error.message, true);
  }
}

function tell(state, words) {
  const link = byId("link");
  if (link.dataset.state !== state) {
    // Changes of state alone: figures that change every second are not read out.
    announce(
      {
        live: "The worker answers.",
        silent: "The worker does not answer.",
        refused: "The look-up token is needed.",
      }[state],
    );
    link.dataset.state = state;
  }
  write(byId("link-words"), words);
}

function say(title, words, grave, ...more) {
  if (liveNotice.textContent.startsWith(title)) return;
  const node = notice(title, words, more);
  node.classList.toggle("grave", grave);
  fill(liveNotice, node);
}

function announce(words) {
  byId("announcement").textContent = words;
}

// --- the masthead

function showToken() {
  const held = readToken() !== null;
  byId("key").classList.toggle("held", held);
  write(byId("key-state"), held ? "Token held" : "Token");
  byId("forget").hidden = !held;
}

function askForToken() {
  byId("key").open = true;
  byId("token").focus();
}

function tokenChanged(token) {
  keepToken(token);
  byId("token").value = "";
  byId("key").open = false;
  showToken();
  byId("key").querySelector("summary").focus();
  announce(token ? "The token is kept until this tab is closed." : "The token is forgotten.");
  open();
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  tokenChanged(byId("token").value.trim());
});
byId("forget").addEventListener("click", () => tokenChanged(""));
byId("key").addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  byId("key").open = false;
  byId("key").querySelector("summary").focus();
});
document.addEventListener("pointerdown", (event) => {
  if (!byId("key").contains(event.target)) byId("key").open = false;
});
byId("look-up").addEventListener("submit", (event) => {
  event.preventDefault();
  const id = byId("wanted").value;
  if (id) location.hash = routeTo(byId("kind").value, id);
});
byId("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the hash names the view
  main.focus();
});

window.addEventListener("hashchange", open);
showToken();
open();
beat();
