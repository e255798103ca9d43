"""Train an encoder on a click log and write the artefact that a worker serves.

    freshrec train clicks.csv --out models/v1 --max-minutes 10
    freshrec evaluate clicks.csv --model models/v1 --protocol leave-one-out

Steps: read and split; fit with early stop on validation NDCG@10; choose blend weights and repeat
policy on the same validation events; with `refit`, fit again on training and validation events
for as many steps; export, compare with torch, write, load and let the scorer reproduce itself.
The test events are never read here.
"""

import math
import platform
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Unpack

import msgspec
import numpy as np
import onnxruntime
import torch
import transformers
from numpy.typing import NDArray

from model.artifact import DEMO_ARTIFACT
from model.baselines import LIVE_PRIORS, PriorConfig
from model.blending import choose_blend
from model.curves import curves_png
from model.data import Sequences
from model.datasets import MOVIELENS_100K, read_data
from model.export import save_artifact
from model.fit import Fit
from model.fit_plan import FitPlan, PlanOptions, plan_fit
from model.hardware import Hardware
from model.held_out import HeldOutItems, without_items
from model.item_table import read_items
from model.progress import TrainingProgress
from model.splits import make_split
from model.tensorboard_log import tensorboard_log
from model.text import Trained, fit_item_text, prepare_item_text
from model.transfer import start_of
from model.validation import log_probabilities
from model.windows import EncodedLog

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]

DEMO_STEPS = 6000


def train(
    data: Path | str | Sequences,
    out: Path,
    *,
    split: str = "leave-one-out",
    test_fraction: float = 0.2,
    validation_fraction: float = 0.1,
    data_share: float = 1.0,
    refit: bool = False,
    top_k: int = 100,
    priors: PriorConfig | None = None,
    predecessors: Sequence[int] = (LIVE_PRIORS.predecessors,),
    name: str = "bert",
    data_name: str | None = None,
    checkpoint: Path | None = None,
    resume: Path | None = None,
    tensorboard: Path | None = None,
    source: Path | None = None,
    adapter: str = "none",
    fresh_items: bool = False,
    items: Path | str | None = None,
    hold_out_items: float = 0.0,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    progress: bool = False,
    command: str = "",
    **plan_options: Unpack[PlanOptions],
) -> dict[str, object]:
    """Train on a log (a file, the name of a data set, or one read) and write an artefact to `out`.

    split: what is held out; `none` keeps no test events. priors: how the graph and popularity are
    computed, None to choose the graph's half-life on validation events, and of `predecessors` the
    best: how many preceding items the worker links a click with; the artefact records them.
    data_name: what the artefact calls the data, None for the file's name. checkpoint: directory for
    the torch weights, which the artefact has not. resume: directory in which an interrupted
    training is taken up; it is made if it is not there. tensorboard: directory for the curves of
    `fit` and `refit`. items: titles and categories (`read_items`), by which the artefact will place
    items that it has never seen; None for an artefact without text. hold_out_items: share of all
    items whose events are removed first, for the protocol cold-items. data_share: see `make_split`.
    source: a checkpoint of another training, whose encoder the fit begins with, None for one by
    chance; adapter and fresh_items: how, see `model.transfer`. device and precision: one of DEVICES
    and PRECISIONS of `model.hardware`; under `torchrun` all processes train together, and only the
    first writes and has a summary to return (others: {}). plan_options: `max_minutes` bounds the
    fit, or each of the two with `refit`.
    Returns a summary; DataError or ValueError, one sentence, on wrong use.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    hardware = Hardware.of_machine(device, precision)
    log = read_data(data)
    rows = None if items is None else read_items(items)
    kept_out = HeldOutItems(hold_out_items) if hold_out_items else None
    if kept_out is not None:
        log = without_items(log, kept_out)
    pretrained = None if rows is None else prepare_item_text(rows, log.items)
    held_out = make_split(
        log,
        split,
        test_fraction=test_fraction,
        validation_fraction=validation_fraction,
        data_share=data_share,
    )
    start = start_of(source, adapter, fresh_items=fresh_items, items=log.items, rows=rows or {})
    plan = plan_fit(log, start=start, **plan_options)
    spec, options = plan.spec, plan.options

    def fit_on(
        plan: FitPlan, train_events: NDArray[np.bool_], validation: IntArray, part: str
    ) -> Fit:
        first = hardware.is_first
        events = tensorboard / part if first and tensorboard is not None else None
        with (
            TrainingProgress(options.max_seconds, visible=progress and first) as bar,
            tensorboard_log(events) as add_point,
        ):
            return plan.fit(
                log,
                train_events,
                validation,
                hardware=hardware,
                report=bar.update,
                evaluated=add_point,
                state=None if resume is None else resume / part,
            )

    started = time.monotonic()
    fitted = fit_on(plan, held_out.train, held_out.validation, "fit")
    online = split == "temporal"
    kept, kept_events = fitted, held_out.train
    if refit:
        events = held_out.train.copy()
        events[held_out.validation] = True
        if online:  # users' first events in the validation period are not examples but train too
            events |= log.rank < log.rank[held_out.validation].max(initial=-1)
        # As many passes over the larger set as the kept weights took over the smaller one.
        larger = events.sum() / held_out.train.sum()
        final = options._replace(
            max_steps=math.ceil(fitted.steps * larger),
            pretraining_steps=math.ceil(fitted.pretraining_steps * larger),
        )
        kept = fit_on(plan._replace(options=final), events, np.zeros(0, np.int64), "refit")
        kept_events = events
    hardware.close()
    if not hardware.is_first:
        return {}
    encoded = EncodedLog(log, np.unique(log.item[held_out.train]), spec)
    choice = choose_blend(
        log,
        held_out,
        lambda events: log_probabilities(fitted.encoder, encoded, events),
        priors=priors,
        predecessors=predecessors,
        online=online,
        seed=options.seed,
    )
    known = np.unique(log.item[kept_events])
    names = [log.items[index] for index in known.tolist()]
    data_name = data_name or ("log" if isinstance(data, Sequences) else Path(data).name)
    summary: dict[str, object] = {
        "data": {
            "name": data_name,
            "fingerprint": log.fingerprint,
            "events": log.events,
            "users": len(log.users),
            "items": len(log.items),
        },
        "split": split,
        "test_fraction": test_fraction if online else None,
        "validation_fraction": validation_fraction if online else None,
        "objective": options.objective,
        "augmentation": options.augmentation._asdict() if options.augmentation.active else None,
        "data_share": data_share,
        "seed": options.seed,
        "steps": kept.steps,
        "pretraining_steps": kept.pretraining_steps,
        "seconds": round(time.monotonic() - started, 1),
        "refit": refit,
        "device": hardware.device.type,
        "precision": hardware.precision,
        "processes": hardware.processes,
        "parameters": sum(weight.numel() for weight in kept.encoder.parameters()),
        "trained_parameters": kept.trained_parameters,
        "priors": choice.priors._asdict(),
        "from": start.record(spec, names),
        "command": command,
    }
    text = None
    if rows is not None and pretrained is not None:
        text = fit_item_text(
            rows,
            Trained(fitted.encoder, encoded),
            held_out.validation,
            Trained(kept.encoder, EncodedLog(log, known, spec)),
            pretrained=pretrained,
            seed=options.seed,
            threads=threads or 1,
        )
        summary["text"] = text.report
    if kept_out is not None:
        summary["held_out_items"] = kept_out._asdict()
    validation = {"examples": len(held_out.validation), **choice.metrics}
    artifact = save_artifact(
        kept.encoder,
        out,
        name=name,
        spec=spec,
        items=names,
        top_k=top_k,
        blend=choice.blend,
        repeat_policy=choice.repeat_policy,
        training=summary,
        metrics={"validation": validation},
        versions={
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "transformers": transformers.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        checkpoint=checkpoint,
        text=text,
        curves=curves_png(
            fitted.curve,
            kept_step=fitted.steps,
            kept_ndcg_at_10=fitted.ndcg_at_10,
            title=f"{name} on {data_name}" + (", before the refit" if refit else ""),
        ),
    )
    return {
        "out": str(out),
        "name": artifact.manifest.name,
        "version": artifact.manifest.version,
        "items": artifact.manifest.items,
        "artifact_bytes": sum(file.stat().st_size for file in Path(out).iterdir()),
        "features": list(spec.features),
        "blend": msgspec.to_builtins(choice.blend),
        "repeat_policy": choice.repeat_policy,
        "validation": validation,
        "curve": fitted.curve,
        "training": summary,
    }


def train_demo(
    out: Path = DEMO_ARTIFACT, *, max_minutes: float = 10.0, progress: bool = False
) -> dict[str, object]:
    """Make the demo's artefact again: the oldest 80 % of MovieLens-100k, time gaps, one seed.

    The data set is downloaded if it is not in the cache. The newest 20 % of the events, which the
    demo replays, are held out; evaluate with the temporal protocol.
    """
    return train(
        MOVIELENS_100K,
        out,
        max_minutes=max_minutes,
        name="bert-movielens-100k",
        features=("time_gap",),
        split="temporal",
        test_fraction=0.2,
        validation_fraction=0.1,
        refit=True,
        # Steps and not minutes say how long it is pre-trained, so that every machine does the same.
        objective="masked+next",
        max_steps=DEMO_STEPS,
        max_length=50,
        dropout=0.4,
        learning_rate=2e-3,
        batch_size=32,
        last_window_share=0.3,
        patience=10,
        seed=0,
        threads=1,
        progress=progress,
        command="freshrec demo --train",
    )
