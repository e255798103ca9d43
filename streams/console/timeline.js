// The timeline of a window: sessions side by side, a lane for each type of event.
//
// Sessions of minutes lie days apart, so one straight axis would show dots. Within a session the
// axis is straight; between two it is broken, and says for how long nothing happened.

import { html, svg } from "./element.js";
import { dateTime, day, exactTime, minute, plural, span, words } from "./wording.js";

const LANE = 22;
const TOP = 18;
const FOOT = 34;
const BREAK = 34;
const NARROWEST = 46;

/**
 * The picture, `width` pixels wide. `sessions` are, oldest first, lists of {itemId, title, type, ms}
 * in time order; what does not fit is left out, oldest first. Returns {node, shown}: how many
 * sessions are in it.
 */
export function timeline(sessions, width, href) {
  const types = [...new Set(sessions.flat().map((event) => event.type))].sort();
  const gutter = Math.min(96, 14 + 6.6 * Math.max(4, ...types.map((type) => type.length)));
  const room = width - gutter - 8;
  const shown = sessions.slice(-Math.max(1, Math.floor((room + BREAK) / (NARROWEST + BREAK))));
  const widths = share(
    shown.map((events) => Math.sqrt(events.length)),
    room - BREAK * (shown.length - 1),
  );
  const height = TOP + types.length * LANE + FOOT;
  const picture = svg("svg", {
    class: "timeline",
    width,
    height,
    viewBox: `0 0 ${width} ${height}`,
    "aria-hidden": "true",
  });
  types.forEach((type, lane) => {
    const y = TOP + lane * LANE + LANE / 2;
    picture.append(
      svg("line", { class: "lane", x1: gutter, x2: width, y1: y, y2: y }),
      svg("text", { class: "lane-name", x: gutter - 10, y: y + 4, "text-anchor": "end" }, words(type)),
    );
  });
  let x = gutter;
  let lastDay = "";
  shown.forEach((events, place) => {
    const begin = events[0].ms;
    const end = events[events.length - 1].ms;
    const inner = widths[place] - 16;
    const at = (ms) => x + 8 + (end > begin ? ((ms - begin) / (end - begin)) * inner : inner / 2);
    const today = day(begin);
    picture.append(
      svg(
        "rect",
        { class: "session", x, y: TOP - 8, width: widths[place], height: types.length * LANE + 14, rx: 4 },
        svg(
          "title",
          {},
          `${plural(events.length, "event")} from ${dateTime(begin)}, ${span((end - begin) / 1000)}`,
        ),
      ),
      svg("text", { class: "axis", x: x + 2, y: height - 16 }, minute(begin)),
      today === lastDay ? "" : svg("text", { class: "axis day", x: x + 2, y: height - 3 }, today),
    );
    lastDay = today;
    for (const event of events) {
      const y = TOP + types.indexOf(event.type) * LANE + LANE / 2;
      picture.append(
        // By pointer only: the table below has the same links for everybody else.
        svg(
          "a",
          { href: href(event.itemId), tabindex: -1 },
          svg(
            "circle",
            { class: "event", cx: at(event.ms).toFixed(1), cy: y, r: 4.5 },
            svg("title", {}, `${event.title}, ${words(event.type)}, ${exactTime(event.ms)}`),
          ),
        ),
      );
    }
    x += widths[place];
    if (place < shown.length - 1) {
      const idle = span((shown[place + 1][0].ms - end) / 1000).match(/^\S+ \S+/)[0];
      picture.append(
        svg(
          "text",
          {
            class: "break",
            x: x + BREAK / 2,
            y: TOP + (types.length * LANE) / 2 + 3,
            "text-anchor": "middle",
          },
          idle,
        ),
      );
      x += BREAK;
    }
  });
  return { node: html("div", { class: "picture" }, picture), shown: shown.length };
}

/** Room in proportion to `sizes`, but no less than the narrowest for each. */
function share(sizes, room) {
  const spare = Math.max(0, room - sizes.length * NARROWEST);
  const all = sizes.reduce((sum, size) => sum + size, 0) || 1;
  return sizes.map((size) =>
    Math.min(NARROWEST + (spare * size) / all, Math.max(NARROWEST, room / sizes.length, 420)),
  );
}
