// The pulse: /live, asked for every second while the page is seen. Whatever comes back it goes on.

import { fill, html, write } from "./element.js";
import { isOfToken, notice, tokenNotice } from "./lookup.js";
import { Readings } from "./reading.js";
import { readLive } from "./reply.js";
import { Refusal, Silence, ask } from "./worker.js";
import { span, time } from "./wording.js";

const BEAT_MS = 1_000;
const LATER_MS = 3_000;

/**
 * Ask from now on. `live` is the live view, drawn while `isSeen()`; `link` and `words` are the
 * masthead's lamp and what it says; `key` is the field for the token. Returns {node, hurry}: where
 * it is told what is the matter, and a way to be asked at once.
 */
export function pulse({ live, isSeen, link, words, key, announce }) {
  const node = html("div", {}, html("p", { class: "note" }, "Asking the worker …"));
  const readings = new Readings();
  let asking = false;
  let timer = null;
  let announced = null;

  async function beat() {
    asking = true;
    let fault = null;
    try {
      readings.add(readLive(await ask("live")));
    } catch (error) {
      fault = error;
    }
    try {
      if (isSeen()) live.draw(readings);
    } catch (error) {
      fault ??= error;
    }
    live.node.classList.toggle("stale", fault !== null);
    if (fault === null) answered(readings.newest);
    else failed(fault);
    asking = false;
    timer = setTimeout(hurry, fault === null ? BEAT_MS : LATER_MS);
  }

  function hurry() {
    if (asking || document.hidden) return;
    clearTimeout(timer);
    beat();
  }

  function answered({ stalledSeconds }) {
    if (stalledSeconds === null) {
      tell("live", "live", "The worker answers");
      fill(node);
      return;
    }
    const still = span(stalledSeconds);
    const why = `Its event loop has been silent for ${still}: no click becomes a list.`;
    say("stalled", `stands still for ${still}`, "The worker stands still", why);
  }

  function failed(fault) {
    if (fault instanceof Silence) {
      const { newest } = readings;
      const since = newest === null ? "" : ` since ${time(newest.atMs)}`;
      const why = newest === null ? "It may be starting or stopped." : "";
      say("silent", `no answer${since}`, "The worker does not answer", why);
    } else if (isOfToken(fault)) {
      const said = tokenNotice(fault, key);
      tell("refused", "token needed", said.querySelector("strong").textContent);
      put(said);
    } else if (fault instanceof Refusal && fault.status >= 400) {
      say("failing", `answers ${fault.status}`, "The worker cannot answer now", fault.message);
    } else {
      say("garbled", "answer not understood", "The worker's answer is not understood", fault.message);
    }
  }

  function tell(state, said, title) {
    link.dataset.state = state;
    write(words, said);
    if (title === announced) return; // figures that change every second are not read out
    announced = title;
    announce(`${title}.`);
  }

  function say(state, said, title, why) {
    tell(state, said, title);
    const past = readings.newest !== null && state !== "stalled";
    const below = past ? "What stands below is what it said last." : "";
    const sentences = [why, below, "This page goes on asking."].filter(Boolean);
    const shown = notice(title, sentences.join(" "));
    shown.classList.add("grave");
    put(shown);
  }

  // The same again is left as it stands, with the focus that may be in it.
  function put(said) {
    if (node.textContent !== said.textContent) fill(node, said);
  }

  document.addEventListener("visibilitychange", hurry);
  beat();
  return { node, hurry };
}
