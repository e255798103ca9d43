// The look-up token: kept by this tab until it is closed, and sent in a header only.

const KEY = "freshrec-lookup-token";

/** What is said of a token for which `fitsHeader` is false. */
export const UNFIT = "A token has Latin letters, digits and signs only: no header can carry others.";

let unstored = null; // where the browser refuses storage, the token lives as long as the page

/** The token that was entered in this tab, or null. */
export function readToken() {
  try {
    return sessionStorage.getItem(KEY) ?? unstored;
  } catch {
    return unstored;
  }
}

/** Keep a token; an empty one forgets it. */
export function keepToken(token) {
  unstored = null;
  try {
    if (token) sessionStorage.setItem(KEY, token);
    else sessionStorage.removeItem(KEY);
  } catch {
    unstored = token || null;
  }
}

/** Whether a header can carry the token: Latin-1 without control characters. */
export const fitsHeader = (token) => /^[\x20-\x7e\xa0-\xff]+$/.test(token);
