"""What the HTTP server answers in JSON, as structs: the source of deploy/schemas/openapi.json.

Instants are ISO-8601 text in UTC unless a name ends in `_ms`. Titles and categories are those of
the catalogue, "" and [] where it has none.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from streams.recommendation import DegradedReason, ReasonCode, ServedBy

Instant = Annotated[str, Meta(description="ISO-8601, UTC, with milliseconds.")]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Count = Annotated[int, Meta(ge=0)]


class Problem(msgspec.Struct, frozen=True):
    """Why there is no answer, in words that say what to do."""

    error: str


class Alive(msgspec.Struct, frozen=True):
    """The event loop is alive."""

    alive: Literal[True]


class Readiness(msgspec.Struct, frozen=True):
    """Whether the worker serves, and by part what it waits for."""

    ready: bool
    waiting_for: dict[str, str]


class StatusModel(msgspec.Struct, frozen=True):
    """The encoder that serves."""

    name: str
    version: str
    engine: str


class NextClickRates(msgspec.Struct, frozen=True):
    """Lists judged by their user's next positive click; every rate is 0 while there are none."""

    trials: Count
    hit_rate_at_10: Share
    mrr_at_10: Share
    popularity_hit_rate_at_10: Share
    graph_hit_rate_at_10: Share


class Status(msgspec.Struct, frozen=True):
    """What an operator looks at first."""

    ready: bool
    not_ready: dict[str, str]
    group: str
    partitions: list[int]
    partitions_total: Count
    model: StatusModel | None
    model_refusal: Annotated[
        str | None, Meta(description="Why the newest artefact does not serve.")
    ]
    graph_items: Count
    graph_edges: Count
    catalogue_items: Count
    queue: Annotated[Count, Meta(description="Users waiting to be scored.")]
    next_click: NextClickRates


class ListedReason(msgspec.Struct, frozen=True):
    """A cause of an item's place, as in the message, with the title of the item it starts from."""

    code: ReasonCode
    item_id: str | None
    title: str
    weight: Annotated[
        float | None,
        Meta(description="Share, 0..1: of what followed that item, the history or all popularity."),
    ]
    delta: Annotated[float | None, Meta(description="Share of the score.")]
    age_seconds: float | None


class ListedItem(msgspec.Struct, frozen=True):
    """An item of a published list."""

    item_id: str
    title: str
    score: float | None = None
    reasons: list[ListedReason] = []


class LastPublished(msgspec.Struct, frozen=True):
    """What was last published for a user, best first.

    Scores, reasons and what made the list are those of the message, which a worker holds for the
    newest lists of a partition, up to 2 MiB; of others they are null and empty.
    """

    user_id: str
    recommendation_id: str
    generated_at: Instant
    items: list[ListedItem]
    served_by: ServedBy | None = None
    degraded_reason: DegradedReason | None = None
    latency_ms: Annotated[
        float | None, Meta(description="From receipt of the click's record to the list.")
    ] = None


class PopularityFigures(msgspec.Struct, frozen=True):
    """Events of an item, and their decayed counts."""

    events: Count
    decayed: Annotated[float, Meta(ge=0.0, description="Decayed with the long half-life.")]
    trending: Annotated[float, Meta(ge=0.0, description="Decayed with the short half-life.")]


class Neighbour(msgspec.Struct, frozen=True):
    """An edge to an item that followed, of one event type, with its weight decayed to now."""

    item_id: str
    title: str
    event_type: str
    weight: Annotated[float, Meta(ge=0.0)]
    count: Count
    last: Instant


class ItemAnswer(msgspec.Struct, frozen=True):
    """An item and its neighbours, the strongest first."""

    item_id: str
    title: str
    available: bool
    categories: list[str]
    popularity: PopularityFigures
    neighbours: list[Neighbour]


class WindowEvent(msgspec.Struct, frozen=True):
    """A positive event of a user's window."""

    item_id: str
    title: str
    event_type: str
    timestamp: Instant


class GraphAttributes(msgspec.Struct, frozen=True):
    """Of the whole graph: the instant that its weights are decayed to."""

    at_ms: int


class GraphNode(msgspec.Struct, frozen=True):
    """An item, or the user: `user:` and the id."""

    id: str
    kind: Literal["item", "user"]
    title: str | UnsetType = UNSET


class GraphEdge(msgspec.Struct, frozen=True):
    """Transitions between two items, or a user's events with one; `key` is the event type."""

    source: str
    target: str
    key: str
    weight: Annotated[float, Meta(ge=0.0)]
    count: Count
    last_ms: int


class NodeLinkGraph(msgspec.Struct, frozen=True):
    """Node-link data as NetworkX reads it (`node_link_graph(…, edges="edges")`)."""

    directed: Literal[True]
    multigraph: Literal[True]
    graph: GraphAttributes
    nodes: list[GraphNode]
    edges: list[GraphEdge]


class Ego(msgspec.Struct, frozen=True):
    """A user's window, oldest event first, and the graph around it."""

    user_id: str
    window: list[WindowEvent]
    graph: NodeLinkGraph


class TrendingItem(msgspec.Struct, frozen=True):
    """An item and how far it exceeds its usual rate."""

    item_id: str
    title: str
    categories: list[str]
    available: bool
    trend: Annotated[
        float,
        Meta(
            gt=1.0,
            description="Rate of the short half-life against the long one's, smoothed by one"
            " event: 1 = as ever, 2 = twice its usual.",
        ),
    ]
    popularity: PopularityFigures


class Trending(msgspec.Struct, frozen=True):
    """Items that exceed their usual rate, the furthest first; none where nothing does."""

    at: Annotated[Instant, Meta(description="Of the popularity that a list would be made from.")]
    long_half_life_seconds: float
    short_half_life_seconds: float
    items: list[TrendingItem]


class ItemEvents(msgspec.Struct, frozen=True):
    """An item and how many positive events a session has with it."""

    item_id: str
    title: str
    events: Count


class CategoryShare(msgspec.Struct, frozen=True):
    """A category's share of a session; an event of an item with several counts for each in part.

    Of an item the first 16 categories count.
    """

    category: str
    share: Share


class PlaceEvents(msgspec.Struct, frozen=True):
    """Events in one grid cell of 0.6 by 1.2 km at most, and the cell's middle."""

    cell: int
    lat: Annotated[float, Meta(ge=-90.0, le=90.0)]
    lon: Annotated[float, Meta(ge=-180.0, le=180.0)]
    events: Count


class SessionAnswer(msgspec.Struct, frozen=True):
    """Events with no pause longer than the gap between one and the next."""

    start: Instant
    end: Instant
    events: Count
    event_types: dict[str, int]
    items: Annotated[list[ItemEvents], Meta(description="The five with most positive events.")]
    categories: Annotated[
        list[CategoryShare], Meta(description="Of positive events, the five with most.")
    ]
    places: list[PlaceEvents]


class DriftAnswer(msgspec.Struct, frozen=True):
    """From one session to the next: how different, and how different by chance.

    The newest 50 steps are reckoned; of older ones the figures are null.
    """

    from_session: Count
    to_session: Count
    distance: Annotated[
        Share | None, Meta(description="Jensen–Shannon distance, base 2; null: nothing to compare.")
    ]
    expected: Annotated[
        Share | None,
        Meta(description="Its mean if the events of both had been dealt out at random."),
    ]
    p_value: Annotated[
        Share | None,
        Meta(description="How often chance gives as much or more; of one step, not of the series."),
    ]


class InterestAnswer(msgspec.Struct, frozen=True):
    """Share of a label in the user's half-life-weighted interest."""

    label: str
    title: Annotated[str, Meta(description="Of an item; a category's own name.")]
    now: Share
    before: Annotated[Share, Meta(description="As the last session began; 0 where it is the only.")]


class EvolutionAnswer(msgspec.Struct, frozen=True):
    """How a user's behaviour evolved over the events that the window holds, oldest first."""

    user_id: str
    at: Instant
    gap_seconds: int
    events: Count
    measured_on: Annotated[
        Literal["categories", "items"],
        Meta(description="What drift and interest are over: items where no category is known."),
    ]
    sessions: list[SessionAnswer]
    drift: list[DriftAnswer]
    interest: Annotated[
        list[InterestAnswer], Meta(description="The twenty labels with most, now or before.")
    ]


class LiveTotals(msgspec.Struct, frozen=True):
    """Counted since the process started; never smaller than before, but after a restart."""

    clicks: Count
    rejects: Count
    duplicates: Count
    lists: Annotated[dict[str, int], Meta(description="Published, by `served_by`.")]
    degraded: Annotated[dict[str, int], Meta(description="Published, by `degraded_reason`.")]
    next_clicks: Annotated[Count, Meta(description="Lists judged by their user's next click.")]
    hits_at_10: Annotated[Count, Meta(description="Of those, with that item in the first ten.")]
    popularity_hits_at_10: Annotated[
        Count, Meta(description="The same, had the most popular items been shown.")
    ]
    graph_hits_at_10: Annotated[Count, Meta(description="The same, had the graph alone served.")]


class LatencyHistogram(msgspec.Struct, frozen=True):
    """From a click's record to the acknowledgement of its list, since the process started."""

    edges_seconds: Annotated[
        list[float], Meta(description="Upper edges, ascending; a bucket without one is the last.")
    ]
    cumulative_counts: Annotated[
        list[int],
        Meta(description="Lists at or below each edge, then of all: one more than edges."),
    ]
    sum_seconds: Annotated[float, Meta(ge=0.0)]


class PartitionLag(msgspec.Struct, frozen=True):
    """Records of a partition that this worker has not yet read."""

    topic: str
    partition: Count
    lag_records: Count


class StateSizes(msgspec.Struct, frozen=True):
    """What this worker holds."""

    users: Annotated[Count, Meta(description="Whose window is unpacked in memory.")]
    items: Annotated[Count, Meta(description="Of the graph.")]
    edges: Count
    catalogue_items: Count
    bytes: Annotated[Count, Meta(description="Of all tables, in memory and on disk.")]


class LiveModel(msgspec.Struct, frozen=True):
    """The encoder that serves."""

    name: str
    version: str
    variant: str
    engine: str


class Live(msgspec.Struct, frozen=True):
    """Figures of this moment, from metrics alone: cheap enough to be asked for every second.

    Gauges (queue, lag, state) are read once a second, bytes every ten.
    """

    time_seconds: Annotated[float, Meta(description="Unix time of this answer.")]
    uptime_seconds: Annotated[
        float, Meta(ge=0.0, description="Of the HTTP server. Smaller than before: a restart.")
    ]
    version: str
    ready: Annotated[bool, Meta(description="It waits for nothing, and the event loop is alive.")]
    waiting_for: dict[str, str]
    stalled_seconds: Annotated[
        float | None,
        Meta(description="Silence of the event loop, from a minute on; else null."),
    ]
    totals: LiveTotals
    event_to_recommendation: LatencyHistogram
    queue_users: Annotated[Count, Meta(description="Users waiting to be scored.")]
    oldest_pending_seconds: Annotated[
        float, Meta(ge=0.0, description="Since the oldest click was read that has no list yet.")
    ]
    partitions: list[PartitionLag]
    state: StateSizes
    model: Annotated[LiveModel | None, Meta(description="null: lists come from the graph.")]
