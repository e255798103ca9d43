// Routes: which view the part of the address after the # asks for. The page is one; its views have
// addresses of their own, so that they can be kept, and gone back to.

const VIEWS = ["live", "trending", "user", "item"];
const NAMED = ["user", "item"];

/** {view, id} of a hash such as `#/user/ann`; what it does not know is the live view. */
export function parseRoute(hash) {
  const [, view = "", rest = ""] = /^#\/([^/]*)(?:\/(.*))?$/s.exec(hash) ?? [];
  if (!VIEWS.includes(view)) return { view: "live", id: null };
  if (!NAMED.includes(view)) return { view, id: null };
  try {
    return { view, id: decodeURIComponent(rest) };
  } catch {
    return { view, id: rest }; // a half-written escape is taken as it stands
  }
}

/** An id as one segment of a path; half of a surrogate pair, which no escape has, is replaced. */
export const escaped = (id) => encodeURIComponent(id.toWellFormed());

/** The hash of a view; `id` may hold anything. */
export function routeTo(view, id = null) {
  return id === null ? `#/${view}` : `#/${view}/${escaped(id)}`;
}
