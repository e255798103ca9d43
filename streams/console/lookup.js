// A look-up: asking the worker for something by its id, and what to say where it is not given.

import { fill, html } from "./element.js";
import { readToken } from "./token.js";
import { Refusal, Silence } from "./worker.js";

/**
 * Show what `load` gives, through `draw`, in `node`; while it is awaited what stood there stays, dimmed.
 * `signal` ends it when another view is opened; `missing` says what it means where nothing is known;
 * `key` is the page's field for the token. Resolves to a sentence that says how it ended, for those
 * who do not see the page, and is empty where all went well; null: it was ended.
 */
export async function show({ node, load, draw, signal, missing, key }) {
  node.setAttribute("aria-busy", "true");
  try {
    const found = await load(signal);
    if (signal.aborted) return null;
    fill(node, draw(found));
    return "";
  } catch (error) {
    if (signal.aborted) return null;
    const said = noticeOf(error, missing, key);
    fill(node, said);
    return said.querySelector("strong").textContent;
  } finally {
    if (!signal.aborted) node.removeAttribute("aria-busy");
  }
}

function noticeOf(error, missing, key) {
  if (isOfToken(error)) return tokenNotice(error, key);
  if (error instanceof Refusal && error.status === 404) return notice("Not known here", missing);
  if (error instanceof Refusal) return notice("The worker refused", error.message);
  if (error instanceof Silence)
    return notice(
      "The worker does not answer",
      "It may be starting, stopped, or out of reach. Ask again once the lamp above is green.",
    );
  return notice("The answer is not understood", error.message);
}

/** Whether an error is about the look-up token. */
export const isOfToken = (error) => error instanceof Refusal && error.status === 401;

/** What is the matter with the token, or the lack of one, and buttons that help. */
export function tokenNotice(error, key) {
  const off = error.message.startsWith("Look-ups are off");
  const held = readToken() !== null;
  const needed = held ? "The worker does not take the token" : "The look-up token is needed";
  return notice(
    off ? "Look-ups are off" : needed,
    error.message,
    off
      ? null
      : html("button", { type: "button", onclick: key.ask }, held ? "Enter another" : "Enter the token"),
    held ? html("button", { type: "button", class: "quiet", onclick: key.forget }, "Forget it") : null,
  );
}

/** A notice in place of content: what is the matter, and what can be done. */
export function notice(title, words, ...more) {
  return html("div", { class: "notice" }, html("strong", {}, title), html("p", {}, words), more);
}
