// The key: the masthead's field for the look-up token, and where the focus goes when it closes.

import { write } from "./element.js";
import { UNFIT, fitsHeader, keepToken, readToken } from "./token.js";

const byId = (id) => document.getElementById(id);

/**
 * Bring the field to life. `changed` is called with a token that was entered, or with "" for one
 * that was forgotten. Returns {ask, forget}: open the field for whoever pressed a button, and forget.
 */
export function keyField(changed) {
  const field = byId("key");
  const entry = byId("token");
  const summary = field.querySelector("summary");
  let opener = summary;

  function show() {
    const held = readToken() !== null;
    field.classList.toggle("held", held);
    write(byId("key-state"), held ? "Token held" : "Token");
    byId("forget").hidden = !held;
  }

  function fault(words) {
    write(byId("token-fault"), words);
    if (words) entry.setAttribute("aria-invalid", "true");
    else entry.removeAttribute("aria-invalid");
  }

  function close() {
    field.open = false;
    entry.value = "";
    fault("");
  }

  function keep(token) {
    keepToken(token);
    close();
    show();
    changed(token);
    // A button of a view goes with the notice that it stood in: what comes in its place is next.
    (opener.closest("main") ?? summary).focus({ preventScroll: true });
    opener = summary;
  }

  function ask() {
    opener = document.activeElement;
    field.open = true;
    entry.focus();
  }

  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const token = entry.value.trim();
    if (token && fitsHeader(token)) keep(token);
    else {
      fault(token ? UNFIT : "Nothing was entered.");
      entry.focus();
    }
  });
  entry.addEventListener("input", () => fault(""));
  byId("forget").addEventListener("click", () => keep(""));
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    close();
    (opener.isConnected ? opener : summary).focus();
    opener = summary;
  });
  document.addEventListener("pointerdown", (event) => {
    if (!field.open || field.contains(event.target)) return;
    close();
    opener = summary;
  });
  show();
  return {
    ask,
    forget: () => {
      opener = document.activeElement;
      keep("");
    },
  };
}
