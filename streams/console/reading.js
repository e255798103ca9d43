// Readings: what /live said, second by second, and the rates and delays between two of them.

export const KEPT_SECONDS = 300;
const SPARE_SECONDS = 60; // so that the oldest point of a chart has a difference too
const GAP_SECONDS = 5; // one answer may be missed; what is further apart is not compared

/** The objective for a list's delay: this share of the lists within so many seconds. */
export const OBJECTIVE = { share: 0.99, seconds: 0.2 };

/**
 * The last minutes of a worker; of one that started anew, what came after.
 *
 * Intervals are of the worker's uptime, which no clock that is set can change. They never span a
 * gap (the page was hidden, the worker out of reach): a mean over it would pass for what is now.
 */
export class Readings {
  constructor() {
    this.all = [];
  }

  get newest() {
    return this.all[this.all.length - 1] ?? null;
  }

  /** Add a reading; one that is the newest again, from somebody's cache, is passed over. */
  add(reading) {
    const newest = this.newest;
    if (newest !== null && reading.uptimeSeconds === newest.uptimeSeconds) return;
    if (newest !== null && isOfAnother(reading, newest)) this.all = [];
    this.all.push(reading);
    while (this.all[0].uptimeSeconds < reading.uptimeSeconds - KEPT_SECONDS - SPARE_SECONDS) this.all.shift();
  }

  /**
   * The newest reading that is at least `seconds` older than the one at `place`; else the oldest
   * that no gap parts from it.
   */
  before(seconds, place = this.all.length - 1) {
    const until = this.all[place].uptimeSeconds - seconds;
    let found = place;
    while (this.all[found].uptimeSeconds > until && !this.#isFirst(found)) found -= 1;
    return this.all[found];
  }

  #isFirst(place) {
    return (
      place === 0 || this.all[place].uptimeSeconds - this.all[place - 1].uptimeSeconds > GAP_SECONDS
    );
  }

  /** Of how many seconds the figures of the last `seconds` are: fewer after the start or a gap. */
  reach(seconds) {
    if (this.newest === null) return 0;
    return Math.min(seconds, this.newest.uptimeSeconds - this.before(seconds).uptimeSeconds);
  }

  /** What `take` of a reading grew by a second, over the last `seconds`; null: not known yet. */
  rate(take, seconds, place = this.all.length - 1) {
    if (place < 0) return null;
    const to = this.all[place];
    const from = this.before(seconds, place);
    return to === from ? null : (take(to) - take(from)) / (to.uptimeSeconds - from.uptimeSeconds);
  }

  /** What `take` of a reading grew by over the last `seconds`. */
  growth(take, seconds) {
    return this.newest === null ? 0 : take(this.newest) - take(this.before(seconds));
  }

  /** Lists by delay over the last `seconds`: counts of the buckets, not cumulative. */
  delays(seconds, place = this.all.length - 1) {
    if (place < 0) return [];
    const from = this.before(seconds, place).delayCounts;
    return this.all[place].delayCounts.map((many, bucket) => many - (from[bucket] ?? 0));
  }

  /** Rows for a chart: the time, by the worker's clock of now, and each of `figures` at that place. */
  rows(...figures) {
    const { newest } = this;
    return this.all
      .map((reading, place) => [newest.uptimeSeconds - reading.uptimeSeconds, place])
      .filter(([age, place]) => place > 0 && age <= KEPT_SECONDS)
      .map(([age, place]) => [newest.atMs - age * 1000, ...figures.map((figure) => figure(place))]);
  }
}

/** Whether a reading is of another process than the one before: it is younger, or has counted fewer clicks. */
function isOfAnother(reading, former) {
  return reading.uptimeSeconds < former.uptimeSeconds || reading.clicks < former.clicks;
}

/**
 * The delay in seconds that `part` of the counted lists were within, from the buckets' upper
 * `edges`, linear within a bucket; null where nothing was counted. What lies beyond the last edge
 * counts as that edge.
 */
export function quantile(counts, edges, part) {
  const all = counts.reduce((sum, many) => sum + many, 0);
  if (!(all > 0)) return null;
  let left = part * all;
  for (let bucket = 0; bucket < edges.length; bucket += 1) {
    const many = counts[bucket];
    if (left <= many && many > 0) {
      const lower = bucket ? edges[bucket - 1] : 0;
      return lower + (edges[bucket] - lower) * (left / many);
    }
    left -= many;
  }
  return edges[edges.length - 1];
}

/** The share of the counted lists within `seconds`, an edge of the buckets; null: none counted. */
export function shareWithin(counts, edges, seconds) {
  const all = counts.reduce((sum, many) => sum + many, 0);
  if (!(all > 0)) return null;
  return counts.reduce((sum, many, bucket) => sum + (edges[bucket] <= seconds ? many : 0), 0) / all;
}
