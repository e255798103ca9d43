"""`freshrec evaluate --protocol prequential`: every event predicted as it is served."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from model.data import Sequences
    from model.scorer import EncoderScorer
    from streams.lists import RecommenderConfig
    from streams.pipeline import PipelineConfig
    from streams.prequential import Successor
    from streams.settings import Settings

DEFAULT_TEST_FRACTION = 0.5
_REPORT_EVERY = 200


def evaluate_prequential(
    log: Sequences,
    models: Sequence[Path],
    *,
    test_fraction: float | None,
    max_examples: int | None,
    repeat_policy: str | None,
    seed: int,
    engine: str,
    threads: int,
    window_events: int | None,
    window_seconds: int | None,
    worker: Settings | None,
    progress: bool,
) -> dict[str, Any]:
    """The report: hit rate, NDCG and MRR at 5, 10 and 20 of blend, encoder, graph and baselines.

    The first of `models`, if there is one, predicts from `test_fraction` on; each of the others
    takes over where its own training ended. State is kept as the first one's blend was fitted for;
    `window_events` and `window_seconds` override that. `worker`, without models, says how a worker
    would keep state, and its repeat policy. ValueError, one sentence, on wrong use.
    """
    from model.ranking import ranking_metrics
    from model.scorer import EncoderScorer
    from streams.event_log import EventLog
    from streams.fitted_state import fitted_half_life_seconds
    from streams.lists import RecommenderConfig
    from streams.lookahead import Lookahead
    from streams.prequential import BASELINES, PrequentialConfig, judge

    fraction = DEFAULT_TEST_FRACTION if test_fraction is None else test_fraction
    scorers = [EncoderScorer.load(model, engine=engine, threads=threads) for model in models]
    scorer = scorers[0] if scorers else None
    if not log.has_times:
        message = "the prequential protocol needs timestamps, and this data is order-only"
        raise ValueError(message)
    training: Mapping[str, Any] = {} if scorer is None else scorer.manifest.training
    settings = _settings(worker, training, window_events, window_seconds)
    recommender = RecommenderConfig() if scorer is None else _recommender(scorer, repeat_policy)
    if worker is not None:
        repeat_policy = repeat_policy or worker.repeat_policy
    if scorer is None and repeat_policy is not None:
        recommender = _with(recommender, repeat_policy=repeat_policy)
    successors = _successors(log, scorers[1:], fraction, repeat_policy)
    config = PrequentialConfig(
        pipeline=_pipeline(settings, log, training),
        recommender=recommender,
        start=log.events - int(fraction * log.events),
        max_examples=max_examples,
        seed=seed,
    )
    events = EventLog(log)
    with _progress(len(events), visible=progress) as report:
        ahead = None
        if scorer is not None:
            ahead = Lookahead(events, config.pipeline, scorer, config.start)
        judged = judge(events, config, ahead, report, successors)
    if not len(judged.positions):
        message = "there is nothing to predict: no user has an event before another"
        raise ValueError(message)
    metrics = {name: ranking_metrics(ranks) for name, ranks in judged.ranks.items()}
    in_order = np.argsort(log.rank, kind="stable")
    return {
        "protocol": "prequential",
        "test_fraction": fraction,
        "users": len(np.unique(log.user[in_order[judged.positions]])),
        "items": len(log.items),
        "examples": len(judged.positions),
        "held_out": None if scorer is None else _held_out(training, log, fraction),
        "model": None if scorer is None else _named(scorer),
        "successors": [
            _named(successor.encoder)
            | {"test_fraction": successor.encoder.manifest.training["test_fraction"]}
            for successor in successors
        ],
        "repeat_policy": recommender.repeat_policy,
        "state": {
            "window_events": settings.window_events,
            "window_seconds": settings.window_seconds,
            "graph_half_life_seconds": fitted_half_life_seconds(training),
            "popularity_half_life_seconds": settings.popularity_half_life_seconds,
        },
        "encoder": metrics.get("encoder"),
        "graph": metrics["graph"],
        "blend": metrics["blend"],
        "baselines": {name: metrics[name] for name in BASELINES},
    }


def _named(scorer: EncoderScorer) -> dict[str, Any]:
    return {"name": scorer.name, "version": scorer.version}


def _recommender(scorer: EncoderScorer, repeat_policy: str | None) -> RecommenderConfig:
    """How lists are made with an artefact."""
    from streams.lists import RecommenderConfig

    manifest = scorer.manifest
    return RecommenderConfig.fitted(manifest.blend, repeat_policy or manifest.repeat_policy)


def _successors(
    log: Sequences, scorers: Sequence[EncoderScorer], fraction: float, repeat_policy: str | None
) -> list[Successor]:
    """Where each artefact may take over: where the events end that it was trained on."""
    from streams.prequential import Successor

    found = []
    for scorer in scorers:
        training = scorer.manifest.training
        held_out = training.get("test_fraction")
        if not isinstance(held_out, float) or not _held_out(training, log, held_out):
            message = (
                f"{scorer.name} {scorer.version} cannot take over: train it on this data "
                "with --split temporal, so that it is known what it has not seen"
            )
            raise ValueError(message)
        if held_out >= fraction:
            message = (
                f"{scorer.name} {scorer.version} cannot take over: it holds out the newest "
                f"{held_out:g} and the first artefact predicts only the newest {fraction:g}"
            )
            raise ValueError(message)
        position = log.events - int(held_out * log.events)
        found.append(Successor(position, scorer, _recommender(scorer, repeat_policy)))
    return sorted(found, key=lambda successor: successor.position)


def _settings(
    worker: Settings | None,
    training: Mapping[str, Any],
    window_events: int | None,
    window_seconds: int | None,
) -> Settings:
    """A worker's settings with the state that the blend was fitted for."""
    from streams.fitted_state import fitted_settings
    from streams.settings import Settings

    changes = fitted_settings(training)
    if window_events is not None:
        changes["window_events"] = window_events
    if window_seconds is not None:
        changes["window_seconds"] = window_seconds
    return (worker or Settings()).replace(**changes)


def _pipeline(settings: Settings, log: Sequences, training: Mapping[str, Any]) -> PipelineConfig:
    """One partition of a worker that knows every event type of the log."""
    from streams.event_types import EventType, EventTypes
    from streams.fitted_state import fitted_half_life_seconds
    from streams.graph import GraphConfig
    from streams.pipeline import PipelineConfig

    half_life_seconds = fitted_half_life_seconds(training)
    known = settings.event_type_registry()
    names = sorted(known.names | set(log.event_types))
    types = []
    for name in names:
        base = known.get(name) or EventType(name, 1.0, 7 * 86_400.0, 1)
        if half_life_seconds is not None and base.polarity > 0:
            # Training knows one half-life, and no weights of types.
            base = EventType(name, 1.0, half_life_seconds, base.polarity)
        types.append(base)
    registry = EventTypes(types)
    graph = settings.graph_config()
    return PipelineConfig(
        window=_with(settings.window_config(), event_types=registry),
        graph=GraphConfig(
            max_neighbours=graph.max_neighbours,
            event_types=registry,
            popularity_half_life_seconds=graph.popularity_half_life_seconds,
            trending_half_life_seconds=graph.trending_half_life_seconds,
        ),
        limits=_with(settings.click_limits(), event_types=registry.names),
        event_types=registry,
        partitions=1,
    )


def _with(struct: Any, **changes: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(struct, **changes)


def _held_out(training: Mapping[str, Any], log: Sequences, fraction: float) -> bool | None:
    """Whether the artefact never saw the events from the first judged one on; None: other data."""
    data = training.get("data")
    if not isinstance(data, dict) or data.get("fingerprint") != log.fingerprint:
        return None
    trained = training.get("test_fraction")
    temporal = training.get("split") == "temporal"
    return temporal and isinstance(trained, float) and trained >= fraction


@contextmanager
def _progress(events: int, *, visible: bool) -> Iterator[Callable[[int], None]]:
    """A bar on standard error; yields what takes the number of events that are done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("events"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=Console(file=sys.stderr), disable=not visible, transient=True
    ) as bar:
        task = bar.add_task("", total=events)

        def report(done: int) -> None:
            if done % _REPORT_EVERY == 0 or done == events:
                bar.update(task, completed=done)

        yield report
