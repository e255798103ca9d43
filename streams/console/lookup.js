// A look-up: asking the worker for something by its id, and what to say where it is not given.

import { fill, html } from "./element.js";
import { Refusal, Silence } from "./worker.js";

/**
 * Show what `load` gives, through `draw`, in `node`; while it is awaited what stood there stays, dimmed.
 * `signal` ends it when another view is opened. `askForToken` opens the page's field for the token.
 * Resolves to a sentence that says how it ended, for those who do not see the page.
 */
export async function show({ node, load, draw, signal, missing, askForToken }) {
  node.setAttribute("aria-busy", "true");
  try {
    const found = await load(signal);
    if (signal.aborted) return null;
    fill(node, draw(found));
    return "";
  } catch (error) {
    if (signal.aborted) return null;
    const notice = noticeOf(error, missing, askForToken);
    fill(node, notice);
    return notice.querySelector("strong").textContent;
  } finally {
    if (!signal.aborted) node.removeAttribute("aria-busy");
  }
}

function noticeOf(error, missing, askForToken) {
  if (error instanceof Refusal && (error.status === 401 || error.status === 403)) {
    const off = error.message.startsWith("Look-ups are off");
    return notice(
      off ? "Look-ups are off" : "The look-up token is needed",
      error.message,
      off ? null : html("button", { type: "button", onclick: askForToken }, "Enter the token"),
    );
  }
  if (error instanceof Refusal && error.status === 404) return notice("Not known here", missing);
  if (error instanceof Refusal) return notice("The worker refused", error.message);
  if (error instanceof Silence)
    return notice(
      "The worker does not answer",
      "It may be starting, stopped, or out of reach. Look the id up again once the lamp above is green.",
    );
  throw error;
}

/** A notice in place of content: what is the matter, and what can be done. */
export function notice(title, words, ...more) {
  return html("div", { class: "notice" }, html("strong", {}, title), html("p", {}, words), more);
}
