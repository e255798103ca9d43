// The look-up token: kept by this tab until it is closed, and sent in a header only.

const KEY = "freshrec-lookup-token";

/** The token that was entered in this tab, or null. */
export function readToken() {
  return sessionStorage.getItem(KEY);
}

/** Keep a token; an empty one forgets it. */
export function keepToken(token) {
  if (token) sessionStorage.setItem(KEY, token);
  else sessionStorage.removeItem(KEY);
}
