// The worker, asked over HTTP. Paths are relative, so the page works behind a proxy's prefix too.

import { escaped } from "./route.js";
import { UNFIT, fitsHeader, readToken } from "./token.js";

const PATIENCE_MS = 10_000;

/** The worker answered, but not with what was asked for; `status` says how, the message why. */
export class Refusal extends Error {
  constructor(status, words) {
    super(words);
    this.name = "Refusal";
    this.status = status;
  }
}

/** No answer: the worker is gone, or the way to it. */
export class Silence extends Error {
  constructor(cause) {
    super("The worker does not answer.", { cause });
    this.name = "Silence";
  }
}

/** The JSON at `path`. Throws `Refusal` or `Silence`; `signal` ends the wait without either. */
export async function ask(path, { signal } = {}) {
  const token = readToken();
  if (token !== null && !fitsHeader(token)) throw new Refusal(401, UNFIT);
  const patience = AbortSignal.timeout(PATIENCE_MS);
  let response;
  let body;
  try {
    response = await fetch(path, {
      headers: token === null ? {} : { Authorization: `Bearer ${token}` },
      signal: signal ? AbortSignal.any([signal, patience]) : patience,
      cache: "no-store",
      credentials: "omit",
      referrerPolicy: "no-referrer",
    });
    body = await response.text();
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw new Silence(error);
  }
  let document = null;
  try {
    document = JSON.parse(body);
  } catch {
    // A proxy's page, or a worker that was busy: the status says enough.
  }
  if (response.ok && document !== null) return document;
  const status = `The worker answered ${response.status}.`;
  throw new Refusal(response.status, problem(document) ?? (response.ok ? "No JSON came." : status));
}

function problem(document) {
  const words = document?.error ?? document?.detail ?? document?.title;
  return typeof words === "string" ? words : null;
}

/**
 * The path of a look-up of an id, which may hold anything. Browsers resolve the segments `.` and
 * `..`, escaped ones too, so those two ids go into the query.
 */
export function pathOf(lookUp, id) {
  return `${lookUp}/${id === "." || id === ".." ? "?id=" : ""}${escaped(id)}`;
}
