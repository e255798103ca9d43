// Replies: the worker's /live as the page's readings.

/**
 * One reading of `/live`: totals since the start, and what is so at that moment. Throws `TypeError`
 * where figures that all others rest on are not there: something else answers in the worker's place.
 */
export function readLive(live) {
  if (![live?.time_seconds, live?.uptime_seconds, live?.totals?.clicks].every(Number.isFinite))
    throw new TypeError("The answer has no figures of a worker.");
  const { totals, event_to_recommendation: delays } = live;
  return {
    atMs: live.time_seconds * 1000,
    uptimeSeconds: live.uptime_seconds,
    version: live.version,
    ready: live.ready,
    waitingFor: live.waiting_for,
    stalledSeconds: live.stalled_seconds ?? null,
    clicks: totals.clicks,
    rejects: totals.rejects,
    duplicates: totals.duplicates,
    lists: Object.values(totals.lists).reduce((sum, many) => sum + many, 0),
    servedBy: totals.lists,
    degraded: totals.degraded,
    trials: totals.next_clicks,
    hits: totals.hits_at_10,
    graphHits: totals.graph_hits_at_10,
    popularityHits: totals.popularity_hits_at_10,
    delayEdges: delays.edges_seconds,
    // Of each bucket alone; the last is beyond all edges.
    delayCounts: delays.cumulative_counts.map((many, place, all) => many - (place ? all[place - 1] : 0)),
    queueUsers: live.queue_users,
    oldestPendingSeconds: live.oldest_pending_seconds,
    lags: live.partitions.map(({ topic, partition, lag_records: records }) => ({
      topic,
      partition,
      records,
    })),
    state: live.state,
    model: live.model,
  };
}
