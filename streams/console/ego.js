// The ego graph of a user, as the worker tells it: made ready for pictures and tables.

/** The events of the window, oldest first. */
export function eventsOf(ego) {
  return ego.window
    .map((event) => ({
      itemId: event.item_id,
      title: event.title || event.item_id,
      type: event.event_type,
      ms: Date.parse(event.timestamp),
    }))
    .sort((a, b) => a.ms - b.ms);
}

/** The user's own edges, newest first, and those between items, heaviest first; types are summed. */
export function edgesOf({ graph }) {
  const titles = new Map(graph.nodes.map((node) => [node.id, node.title || node.id]));
  const user = graph.nodes.find((node) => node.kind === "user")?.id;
  const sums = new Map();
  for (const edge of graph.edges) {
    const key = JSON.stringify([edge.source, edge.target]);
    if (!sums.has(key)) {
      sums.set(key, {
        own: edge.source === user,
        itemId: edge.target,
        from: edge.source,
        to: edge.target,
        fromTitle: titles.get(edge.source),
        title: titles.get(edge.target),
        weight: 0,
        count: 0,
        lastMs: 0,
      });
    }
    const sum = sums.get(key);
    sum.weight += edge.weight;
    sum.count += edge.count;
    sum.lastMs = Math.max(sum.lastMs, edge.last_ms);
  }
  const all = [...sums.values()];
  return {
    own: all.filter((edge) => edge.own).sort((a, b) => b.lastMs - a.lastMs),
    between: all.filter((edge) => !edge.own).sort((a, b) => b.weight - a.weight),
  };
}
