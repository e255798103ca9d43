// The graph around a user: the user, the items of the window, and where the graph leads from there.
//
// In columns from left to right, as the graph is walked, so that names stay legible on a phone too.
// The same data gives the same picture: columns are put in order by where their edges come from.

import { html, svg } from "./element.js";
import { weight } from "./wording.js";

const ROW = 26;
const TOP = 26;
const MOST_ITEMS = 14;
const MOST_NEIGHBOURS = 18;
const MOST_INSIDE = 12;

/**
 * What is drawn of an ego graph. `own` are {itemId, title, weight}, newest first: the user's edges.
 * `edges` are {from, to, title, weight} between items. Returns {items, neighbours, edges}: of the
 * own items and of those they lead to the strongest, and the edges among what is left.
 */
export function strongest(own, edges) {
  const kept = new Set(
    [...own]
      .sort(byWeight)
      .slice(0, MOST_ITEMS)
      .map((item) => item.itemId),
  );
  const items = own.filter((item) => kept.has(item.itemId));
  const ids = new Set(own.map((item) => item.itemId));
  const sums = new Map();
  for (const edge of edges) {
    if (ids.has(edge.to) || !kept.has(edge.from)) continue;
    const sum = sums.get(edge.to) ?? { itemId: edge.to, title: edge.title, weight: 0 };
    sum.weight += edge.weight;
    sums.set(edge.to, sum);
  }
  const chosen = [...sums.values()].sort(byWeight).slice(0, MOST_NEIGHBOURS);
  const led = new Set(chosen.map((one) => one.itemId));
  const onward = edges.filter((edge) => kept.has(edge.from) && led.has(edge.to));
  const inside = edges.filter((edge) => kept.has(edge.from) && kept.has(edge.to) && edge.from !== edge.to);
  // Among the window's own items nearly all are joined: what is not strong would hide the rest.
  const drawn = [...onward, ...inside.sort((a, b) => b.weight - a.weight).slice(0, MOST_INSIDE)];
  return {
    items,
    neighbours: inOrder(chosen, items, drawn),
    edges: drawn,
    left: ids.size - items.length + sums.size - chosen.length,
  };
}

function byWeight(a, b) {
  return b.weight - a.weight || (a.itemId < b.itemId ? -1 : 1);
}

/** Neighbours by the weighted mean place of the items that lead to them: few lines cross. */
function inOrder(neighbours, items, edges) {
  const places = new Map(items.map((item, place) => [item.itemId, place]));
  const middle = new Map();
  for (const one of neighbours) {
    let sum = 0;
    let all = 0;
    for (const edge of edges) {
      if (edge.to !== one.itemId) continue;
      sum += edge.weight * places.get(edge.from);
      all += edge.weight;
    }
    middle.set(one.itemId, all ? sum / all : 0);
  }
  return [...neighbours].sort((a, b) => middle.get(a.itemId) - middle.get(b.itemId) || byWeight(a, b));
}

/** The picture of `strongest`, `width` pixels wide; `href` gives an item's address. */
export function neighbourhood({ items, neighbours, edges }, width, href) {
  const rows = Math.max(items.length, neighbours.length, 1);
  const height = TOP + rows * ROW + 10;
  const narrow = width < 560;
  const user = { x: 10, y: TOP + (rows * ROW) / 2 };
  const left = narrow ? 40 : Math.max(110, width * 0.16);
  const label = Math.min(240, (width - left) * (narrow ? 0.36 : 0.28));
  const right = width - label - 12;
  const gate = left + label + 14; // where the lines of an item begin, behind its name
  const y = (place, many) => TOP + ((place + 0.5) * rows * ROW) / many;
  const spots = new Map();
  items.forEach((item, place) => spots.set(item.itemId, { x: left, y: y(place, items.length) }));
  neighbours.forEach((item, place) => spots.set(item.itemId, { x: right, y: y(place, neighbours.length) }));
  const heaviest = Math.max(...edges.map((edge) => edge.weight), 1e-9);
  const most = Math.max(...items.map((item) => item.weight), 1e-9);
  const picture = svg("svg", {
    class: "neighbourhood",
    width,
    height,
    viewBox: `0 0 ${width} ${height}`,
    role: "group",
    "aria-label": "Graph around the user",
  });
  picture.append(
    svg("text", { class: "axis", x: left - 4, y: 13 }, "in the window"),
    neighbours.length
      ? svg("text", { class: "axis", x: right - 4, y: 13 }, narrow ? "leads to" : "the graph leads to")
      : "",
  );
  const lines = new Map();
  const thick = (part) => (0.75 + 5 * Math.sqrt(part)).toFixed(2);
  for (const item of items) {
    const spot = spots.get(item.itemId);
    const middle = (user.x + spot.x) / 2;
    const line = svg(
      "path",
      {
        class: "edge own",
        "stroke-width": thick(Math.max(0, item.weight) / most),
        d: `M${user.x},${user.y}C${middle},${user.y} ${middle},${spot.y} ${spot.x},${spot.y}`,
      },
      svg("title", {}, `${item.title}: ${weight(item.weight)}`),
    );
    picture.append(line);
    remember(lines, item.itemId, line);
  }
  for (const edge of edges) {
    const from = spots.get(edge.from);
    const to = spots.get(edge.to);
    const inside = to.x === left;
    const bend = inside ? gate + 14 + Math.abs(to.y - from.y) * 0.18 : (gate + to.x) / 2;
    const line = svg(
      "path",
      {
        class: inside ? "edge inside" : "edge",
        "stroke-width": thick(edge.weight / heaviest),
        d: inside
          ? `M${gate},${from.y}C${bend},${from.y} ${bend},${to.y} ${gate},${to.y}`
          : `M${gate},${from.y}C${bend},${from.y} ${bend},${to.y} ${to.x - 5},${to.y}`,
      },
      svg("title", {}, `${weight(edge.weight)}`),
    );
    picture.append(line);
    remember(lines, edge.from, line);
    remember(lines, edge.to, line);
  }
  picture.append(svg("circle", { class: "user", cx: user.x, cy: user.y, r: 7 }));
  for (const [side, list] of [
    ["own", items],
    ["next", neighbours],
  ]) {
    for (const item of list)
      picture.append(node(item, side, spots.get(item.itemId), label, href, lines, picture));
  }
  return html("div", { class: "picture" }, picture);
}

function remember(lines, itemId, line) {
  if (!lines.has(itemId)) lines.set(itemId, []);
  lines.get(itemId).push(line);
}

function node(item, side, spot, label, href, lines, picture) {
  const text = svg("text", { x: spot.x + 9, y: spot.y + 4 }, short(item.title, label));
  const light = (on) => {
    picture.classList.toggle("chosen", on);
    for (const line of lines.get(item.itemId) ?? []) line.classList.toggle("lit", on);
  };
  return svg(
    "a",
    {
      class: `node ${side}`,
      href: href(item.itemId),
      onpointerenter: () => light(true),
      onpointerleave: () => light(false),
      onfocus: () => light(true),
      onblur: () => light(false),
    },
    svg("title", {}, `${item.title}, weight ${weight(item.weight)}`),
    svg("rect", { class: "ground", x: spot.x - 7, y: spot.y - 11, width: label + 18, height: 22, rx: 4 }),
    svg("circle", { cx: spot.x, cy: spot.y, r: 4.5 }),
    text,
  );
}

/** As many characters as fit into so many pixels at the picture's text size. */
function short(title, pixels) {
  const letters = [...title];
  const fit = Math.max(4, Math.floor(pixels / 7.1));
  return letters.length > fit
    ? `${letters
        .slice(0, fit - 1)
        .join("")
        .trimEnd()}…`
    : title;
}
