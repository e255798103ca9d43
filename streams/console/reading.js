// Readings: what /live said, second by second, and the rates and delays between two of them.

export const KEPT_SECONDS = 300;
const SPARE_SECONDS = 60; // so that the oldest point of a chart has a difference too

/** The objective for a list's delay: this share of the lists within so many seconds. */
export const OBJECTIVE = { share: 0.99, seconds: 0.2 };

/** The last minutes of a worker; of one that started anew, what came after. */
export class Readings {
  constructor() {
    this.all = [];
  }

  get newest() {
    return this.all[this.all.length - 1] ?? null;
  }

  /** Add a reading; one that was taken no later than the newest is passed over. */
  add(reading) {
    const newest = this.newest;
    if (newest !== null && reading.uptimeSeconds < newest.uptimeSeconds) this.all = [];
    else if (newest !== null && reading.atMs <= newest.atMs) return;
    this.all.push(reading);
    while (this.all[0].atMs < reading.atMs - (KEPT_SECONDS + SPARE_SECONDS) * 1000) this.all.shift();
  }

  /** The newest reading that is at least `seconds` older than the one at `place`, else the oldest. */
  before(seconds, place = this.all.length - 1) {
    const until = this.all[place].atMs - seconds * 1000 + 50;
    let found = place;
    while (found > 0 && this.all[found].atMs > until) found -= 1;
    return this.all[found];
  }

  /** What `take` of a reading grew by a second, over the last `seconds`; null: not known yet. */
  rate(take, seconds, place = this.all.length - 1) {
    if (place < 0) return null;
    const to = this.all[place];
    const from = this.before(seconds, place);
    return to.atMs > from.atMs ? ((take(to) - take(from)) / (to.atMs - from.atMs)) * 1000 : null;
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

  /** Rows for a chart: the time, and each of `figures` of the reading at that place. */
  rows(...figures) {
    const end = this.newest?.atMs ?? 0;
    return this.all
      .map((reading, place) => [reading.atMs, place])
      .filter(([ms, place]) => place > 0 && ms >= end - KEPT_SECONDS * 1000)
      .map(([ms, place]) => [ms, ...figures.map((figure) => figure(place))]);
  }
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
