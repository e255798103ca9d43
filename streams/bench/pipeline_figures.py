"""Figures of `freshrec bench pipeline`: the JSON object of `--json`."""

import msgspec


class StageTime(msgspec.Struct):
    """Processor time of one stage of a worker's event loop (`streams.bench.stages`)."""

    during: str
    """The closed loop, or a rate."""
    stage: str
    ms: float
    """For a list of the closed loop; for a click at a rate."""


class Latency(msgspec.Struct):
    """From the planned instant of a click to a list that includes it, at the subscriber."""

    rate: float
    clicks: int
    lists: int
    without_encoder: int
    """Of the lists, those that came too late for it."""
    p50: float
    p99: float
    p999: float
    longest: float
    event_loop_ms: float
    """Processor time of the worker's event loop, a click."""


class PipelineFigures(msgspec.Struct):
    """What the run measured; the JSON object of `--json`."""

    engine: str
    model: str
    store: str
    hollow: bool
    users: int
    clicks: int
    """Of the backlog."""
    seconds: float
    """From its first click to the commit of its last."""
    clicks_per_second: float
    lists: int
    """Of the closed loop."""
    without_encoder: int
    """Of those, not counted in the rate."""
    lists_per_second: float
    """With the encoder, one click each, while as many users wait as `waiting` says."""
    engine_limit_lists_per_second: float
    """The encoder alone on full windows with as many threads, before and after the closed loop."""
    limit_ratio: float
    latency_seconds: list[Latency]
    bytes_per_user: float | None
    """Of a window in the changelog, with as many events as the encoder reads."""
    bytes_per_item: float | None
    """Of an item of the graph in the changelog, at the end; None: a hollow worker has no graph."""
    bytes_per_full_item: float | None
    """Of an item with as many neighbours as it may have, or nearly; None where none has."""
    peak_rss_bytes: int
    cpu_seconds: dict[str, float]
    """Of the worker in the closed loop: its event loop (Kafka, clicks, windows, graph, ranking,
    messages), and its other threads (encoder, RocksDB). `encoder_elapsed` is the time that the
    encoder's calls took, `elapsed` that of the clock."""
    stages: list[StageTime]
    """Of the event loop, where the worker was to time them; they make up all of it."""
