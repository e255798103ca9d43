// The pulse: /live, asked for every second while the page is seen. Whatever comes back it goes on.

import { fill, html, write } from "./element.js";
import { isOfToken, notice, tokenNotice } from "./lookup.js";
import { Readings } from "./reading.js";
import { readLive } from "./reply.js";
import { Refusal, Silence, ask } from "./worker.js";
import { span, time } from "./wording.js";

const BEAT_MS = 1_000;
const LATER_MS = 3_000;
const ANNOUNCED = {
  live: "The worker answers.",
  stalled: "The worker stands still.",
  silent: "The worker does not answer.",
  refused: "The look-up token is needed.",
  garbled: "The worker's answer is not understood.",
};

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
      tell("live", "live");
      fill(node);
      return;
    }
    const still = span(stalledSeconds);
    tell("stalled", `stands still for ${still}`);
    say("The worker stands still", `Its event loop has been silent for ${still}: no click becomes a list.`);
  }

  function failed(fault) {
    if (fault instanceof Silence) {
      const { newest } = readings;
      tell("silent", newest === null ? "no answer" : `no answer since ${time(newest.atMs)}`);
      say("The worker does not answer", newest === null ? "It may be starting or stopped." : "");
    } else if (isOfToken(fault)) {
      tell("refused", "token needed");
      put(tokenNotice(fault, key));
    } else if (fault instanceof Refusal && fault.status >= 400) {
      tell("silent", `answers ${fault.status}`);
      say("The worker cannot answer now", fault.message);
    } else {
      tell("garbled", "answer not understood");
      say("The worker's answer is not understood", fault.message);
    }
  }

  function tell(state, said) {
    if (link.dataset.state !== state) {
      // Changes of state alone: figures that change every second are not read out.
      announce(ANNOUNCED[state]);
      link.dataset.state = state;
    }
    write(words, said);
  }

  function say(title, ...sentences) {
    if (readings.newest !== null && link.dataset.state !== "stalled")
      sentences.push("What stands below is what it said last.");
    sentences.push("This page goes on asking.");
    const said = notice(title, sentences.filter(Boolean).join(" "));
    said.classList.add("grave");
    put(said);
  }

  // The same again is left as it stands, with the focus that may be in it.
  function put(said) {
    if (node.textContent !== said.textContent) fill(node, said);
  }

  document.addEventListener("visibilitychange", hurry);
  beat();
  return { node, hurry };
}
