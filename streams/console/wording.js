// Wording: numbers, times and the worker's codes as people read them.

const LOCALE = "en";
const whole = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const oneDigit = new Intl.NumberFormat(LOCALE, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const atMostOneDigit = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 1 });
const twoDigits = new Intl.NumberFormat(LOCALE, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const significant = new Intl.NumberFormat(LOCALE, {
  minimumSignificantDigits: 3,
  maximumSignificantDigits: 3,
});
const clock = new Intl.DateTimeFormat(LOCALE, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const dayAndTime = new Intl.DateTimeFormat(LOCALE, {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
});
const fullTime = new Intl.DateTimeFormat(LOCALE, {
  day: "numeric",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});

const dayOnly = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short" });
const minuteOnly = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

export const NOTHING = "–";

export const count = (number) => whole.format(number);
export const time = (ms) => clock.format(ms);
export const dateTime = (ms) => dayAndTime.format(ms);
export const exactTime = (ms) => fullTime.format(ms);
export const day = (ms) => dayOnly.format(ms);
export const minute = (ms) => minuteOnly.format(ms);

/** A rate a second: one digit while it is small. */
export function rate(perSecond) {
  if (perSecond === null) return NOTHING;
  return perSecond !== 0 && perSecond < 99.95 ? oneDigit.format(perSecond) : whole.format(perSecond);
}

/** A weight or score: three digits that count. */
export const weight = (value) => (Math.abs(value) < 0.0005 ? "0" : significant.format(value));

/** A score of the blend, which may be below 0. */
export const logit = (value) => twoDigits.format(value).replace("-", "−");

/** A share of 1 as a percentage; what is not quite all is never shown as 100 %. */
export function share(part) {
  if (part === null) return NOTHING;
  const percent = part * 100;
  if (percent === 0 || percent === 100) return `${percent} %`;
  if (percent > 99.9) return "> 99.9 %";
  return percent < 0.1
    ? "< 0.1 %"
    : `${percent < 10 ? oneDigit.format(percent) : (percent > 90 ? atMostOneDigit : whole).format(percent)} %`;
}

/** A delay in its own unit: 43 ms, 1.2 s. */
export function delay(seconds) {
  if (seconds === null) return NOTHING;
  if (seconds < 0.01) return `${oneDigit.format(seconds * 1000)} ms`;
  if (seconds < 1) return `${whole.format(seconds * 1000)} ms`;
  return seconds < 10 ? `${oneDigit.format(seconds)} s` : `${whole.format(seconds)} s`;
}

/** A bound that somebody chose, without digits that nobody said: 5 ms, 2.5 s. */
export const bound = (seconds) => (seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds} s`);

/** A span of time in at most two units: 34 s, 5 min, 2 h 10 min, 3 d 4 h. */
export function span(seconds) {
  const all = Math.max(0, Math.round(seconds));
  if (all < 60) return `${all} s`;
  const minutes = Math.round(all / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  return hours % 24 && days < 10 ? `${days} d ${hours % 24} h` : `${days} d`;
}

/** Bytes in decimal units. */
export function bytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = number;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? whole.format(value) : oneDigit.format(value)} ${units[unit]}`;
}

/** A code of the worker, such as add_to_cart, as words. */
export const words = (code) => code.replaceAll("_", " ");

/** `1 event`, `2 events`. */
export const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

/** What makes lists, by the worker's `served_by`. */
export const MADE_BY = { "bert+graph": "encoder and graph", graph: "graph alone", popular: "popularity" };

/** Why a list was made with less than the encoder, by the worker's `degraded_reason`. */
export const DEGRADED = {
  cold_user: "nothing known of the user",
  model_missing: "no model",
  model_failed: "the model failed",
  deadline: "waited too long",
};
