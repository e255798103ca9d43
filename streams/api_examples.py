"""One answer of every kind, as the OpenAPI document shows it."""

from __future__ import annotations

from streams import api
from streams.recommendation import DegradedReason, ReasonCode, ServedBy

ALIVE = api.Alive(alive=True)
STALLED = api.Problem("The event loop has been silent for 75 s.")
READY = api.Readiness(ready=True, waiting_for={})
NOT_READY = api.Readiness(ready=False, waiting_for={"partitions": "recovering partitions [0, 1]"})
BAD_REQUEST = api.Problem("limit is a whole number from 1 to 100, not 'many'.")
REFUSED = api.Problem("The look-up token is wrong.")
FAILED = api.Problem("The look-up failed; the worker's log says why.")
UNKNOWN = api.Problem("This worker knows nothing of 'carol'.")

STATUS = api.Status(
    ready=True,
    not_ready={},
    group="freshrec",
    partitions=[0, 1],
    partitions_total=2,
    model=api.StatusModel("bert", "3f9a1c7e", "CPUExecutionProvider"),
    model_refusal=None,
    graph_items=3706,
    graph_edges=181_204,
    catalogue_items=3883,
    queue=2,
    next_click=api.NextClickRates(
        trials=812,
        hit_rate_at_10=0.25,
        mrr_at_10=0.11,
        popularity_hit_rate_at_10=0.06,
        graph_hit_rate_at_10=0.19,
    ),
)

LIVE = api.Live(
    time_seconds=1_769_860_800.25,
    uptime_seconds=3_600.5,
    version="0.1.0",
    ready=True,
    waiting_for={},
    stalled_seconds=None,
    totals=api.LiveTotals(
        clicks=120_400,
        rejects=3,
        duplicates=41,
        lists={"bert+graph": 98_000, "graph": 1_200, "popular": 12},
        degraded={"cold_user": 900, "model_missing": 0, "model_failed": 0, "deadline": 300},
        next_clicks=81_200,
        hits_at_10=20_300,
        popularity_hits_at_10=4_900,
        graph_hits_at_10=15_400,
    ),
    event_to_recommendation=api.LatencyHistogram(
        edges_seconds=[0.01, 0.05, 0.1, 0.5],
        cumulative_counts=[61_000, 97_000, 98_900, 99_200, 99_212],
        sum_seconds=1_240.75,
    ),
    queue_users=2,
    oldest_pending_seconds=0.004,
    partitions=[
        api.PartitionLag("clicks", 0, 0),
        api.PartitionLag("clicks", 1, 12),
        api.PartitionLag("freshrec-graph-changelog", 0, 0),
    ],
    state=api.StateSizes(
        users=6_040, items=3_706, edges=181_204, catalogue_items=3_883, bytes=41_943_040
    ),
    model=api.LiveModel("bert", "3f9a1c7e", "A", "CPUExecutionProvider"),
)

TRENDING = api.Trending(
    at="2026-01-31T12:00:00.250Z",
    long_half_life_seconds=604_800.0,
    short_half_life_seconds=21_600.0,
    items=[
        api.TrendingItem(
            item_id="lamp",
            title="Desk lamp",
            categories=["home", "light"],
            available=True,
            trend=4.25,
            popularity=api.PopularityFigures(events=310, decayed=96.4, trending=19.4),
        )
    ],
)

LAST_PUBLISHED = api.LastPublished(
    user_id="bob",
    recommendation_id="rec-0-991",
    generated_at="2026-01-31T12:00:00.123Z",
    items=[
        api.ListedItem(
            "lamp",
            "Desk lamp",
            score=6.27,
            reasons=[
                api.ListedReason(ReasonCode.CO_CLICKED, "desk", "", 0.61, None, 34.0),
                api.ListedReason(ReasonCode.TRENDING, None, "", None, None, None),
            ],
        ),
        api.ListedItem("chair", "", score=4.1),
    ],
    served_by=ServedBy.GRAPH,
    degraded_reason=DegradedReason.MODEL_MISSING,
    latency_ms=13.0,
)

ITEM = api.ItemAnswer(
    item_id="lamp",
    title="Desk lamp",
    available=True,
    categories=["home", "light"],
    popularity=api.PopularityFigures(events=310, decayed=96.4, trending=19.4),
    neighbours=[
        api.Neighbour("desk", "Desk", "click", 3.5, 7, "2026-01-31T11:58:00.000Z"),
        api.Neighbour("bulb", "Bulb", "purchase", 1.25, 1, "2026-01-30T09:00:00.000Z"),
    ],
)

EGO = api.Ego(
    user_id="bob",
    window=[api.WindowEvent("lamp", "Desk lamp", "click", "2026-01-31T11:59:00.000Z")],
    graph=api.NodeLinkGraph(
        directed=True,
        multigraph=True,
        graph=api.GraphAttributes(at_ms=1_769_860_800_000),
        nodes=[
            api.GraphNode("user:bob", "user"),
            api.GraphNode("lamp", "item", "Desk lamp"),
            api.GraphNode("desk", "item", "Desk"),
        ],
        edges=[
            api.GraphEdge("user:bob", "lamp", "click", 0.99, 1, 1_769_860_740_000),
            api.GraphEdge("lamp", "desk", "click", 3.5, 7, 1_769_860_680_000),
        ],
    ),
)

EVOLUTION = api.EvolutionAnswer(
    user_id="bob",
    at="2026-01-31T12:00:00.250Z",
    gap_seconds=1_800,
    events=5,
    measured_on="categories",
    sessions=[
        api.SessionAnswer(
            start="2026-01-30T08:00:00.000Z",
            end="2026-01-30T08:07:30.000Z",
            events=3,
            event_types={"click": 2, "purchase": 1},
            items=[api.ItemEvents("tent", "Tent", 2), api.ItemEvents("stove", "Stove", 1)],
            categories=[api.CategoryShare("outdoor", 1.0)],
            places=[api.PlaceEvents(1_675_013_115, 40.731, -73.998, 3)],
        ),
        api.SessionAnswer(
            start="2026-01-31T11:58:00.000Z",
            end="2026-01-31T11:59:00.000Z",
            events=2,
            event_types={"click": 2},
            items=[api.ItemEvents("desk", "Desk", 1), api.ItemEvents("lamp", "Desk lamp", 1)],
            categories=[api.CategoryShare("home", 0.75), api.CategoryShare("light", 0.25)],
            places=[],
        ),
    ],
    drift=[api.DriftAnswer(0, 1, distance=1.0, expected=0.62, p_value=0.1)],
    interest=[
        api.InterestAnswer("outdoor", "outdoor", now=0.71, before=1.0),
        api.InterestAnswer("home", "home", now=0.22, before=0.0),
        api.InterestAnswer("light", "light", now=0.07, before=0.0),
    ],
)
