"""Settings of a training by search: trials of one budget, judged by validation NDCG@10.

Tree-structured Parzen estimators (Bergstra et al., NeurIPS 2011) propose, by optuna; a trial that
is behind the median of the others at the same share of its time is given up. Test events are never
read. Trials are stored as they end, and so is the fit of the one that runs: an interrupted search
goes on where it was.
"""

import shutil
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import torch
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from model.data import DataError, Sequences, Split
from model.fit_curve import Point
from model.fit_plan import PlanOptions, plan_fit
from model.hardware import Hardware
from model.held_out import HeldOutItems, without_items
from model.item_table import read_items
from model.progress import SearchProgress
from model.search_space import FIXED_BY_SOURCE, SearchSpace
from model.splits import make_split
from model.start import Start
from model.tensorboard_log import tensorboard_log
from model.transfer import start_of

JOURNAL_FILE = "search.journal"
STUDY = "freshrec"
# Trials are compared after each twentieth of their time, from two fifths on: until then one that
# begins with masked items has had no time for what is measured.
PARTS = 20
FIRST_COMPARED = 8
NEVER_PRUNED = 3  # trials that the others are compared with at least
_PLAN = frozenset(PlanOptions.__annotations__)
_INTERRUPTED, _SETTINGS, _SECONDS, _SEARCH = "interrupted", "settings", "seconds", "search"


class Found(NamedTuple):
    """What a search found."""

    best: dict[str, Any]  # arguments of `model.train.train`
    ndcg_at_10: float  # of the encoder on validation events
    state: Path  # for `resume` of `train`: the fit of the best trial, at its end
    trials: list[FrozenTrial]  # all that ended, also of earlier runs


def search(
    log: Sequences,
    directory: Path,
    *,
    trials: int,
    options: Mapping[str, Any],
    fixed: Collection[str],
    progress: bool = False,
) -> Found:
    """Search until `trials` have ended, those of earlier runs in `directory` included.

    options: arguments of `train`; `max_minutes` bounds each trial. fixed: names of SEARCHED that
    stay as they are in `options`. Failing for lack of memory ends a trial and not the search.
    DataError, one sentence, where `directory` holds a search on other data or options.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if options.get("threads") is not None:
        torch.set_num_threads(options["threads"])
    if options.get("hold_out_items"):
        log = without_items(log, HeldOutItems(options["hold_out_items"]))
    if options.get("source") is not None:
        fixed = {*fixed, *FIXED_BY_SOURCE}
    space = SearchSpace(log, fixed=fixed, heads=options.get("heads"))
    kept = {name: value for name, value in options.items() if name not in space.names}
    split_options = {
        "test_fraction": options.get("test_fraction", 0.2),
        "validation_fraction": options.get("validation_fraction", 0.1),
        "data_share": options.get("data_share", 1.0),
    }
    split = options.get("split", "leave-one-out")
    held_out = make_split(log, split, **split_options)
    plan_options = {name: value for name, value in kept.items() if name in _PLAN}
    start = _start(log, options)
    same = [log.fingerprint, split, split_options, plan_options, start.fingerprint]
    seed = int(options.get("seed", 0))
    study = _study(directory, f"{same} {sorted(space.names)}", seed)
    plan_options["start"] = start
    runner = _Runner(log, held_out, space, plan_options, kept, directory, study)
    taken_up = _abandon_running(study)
    if not study.trials:
        study.enqueue_trial(space.usual())
    with SearchProgress(trials, visible=progress) as bar:
        for _ in range(trials - len(_ended(study))):
            trial = study.ask()
            if taken_up is not None:
                runner.move_state(taken_up, trial.number)
                taken_up = None
            bar.begin(len(_ended(study)), _best_value(study))
            runner.run(trial, bar)
            runner.forget_all_but_the_best()
    complete = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    if not complete:
        message = "no trial of the search came to an end: give it more memory or smaller sizes"
        raise DataError(message)
    best = study.best_trial
    settings = space.draw(optuna.trial.FixedTrial(best.params))
    ndcg = best.value if best.value is not None else 0.0
    return Found(settings, ndcg, runner.state(best.number), _ended(study))


def _start(log: Sequences, options: Mapping[str, Any]) -> Start:
    """What `train` with these options begins with: the state of a trial is one of its fits."""
    items = options.get("items")
    return start_of(
        options.get("source"),
        options.get("adapter", "none"),
        fresh_items=options.get("fresh_items", False),
        items=log.items,
        rows={} if items is None else read_items(items),
    )


class _Runner:
    """Runs trials of one search and keeps their fits."""

    def __init__(
        self,
        log: Sequences,
        held_out: Split,
        space: SearchSpace,
        plan_options: Mapping[str, Any],
        options: Mapping[str, Any],
        directory: Path,
        study: optuna.Study,
    ) -> None:
        self._log, self._held_out, self._space = log, held_out, space
        self._plan_options, self._options = plan_options, options
        self._directory, self._study = directory, study
        self._hardware = Hardware.of_machine(
            options.get("device", "auto"), options.get("precision", "auto")
        )
        if self._hardware.processes > 1:
            message = "a search runs one trial after the other: start it without torchrun"
            raise DataError(message)

    def run(self, trial: optuna.Trial, bar: SearchProgress) -> None:
        """Fit with what the trial draws, and tell the study how it went."""
        drawn = self._space.draw(trial)
        plan = plan_fit(self._log, **{**self._plan_options, **drawn})
        compared = Compared(trial, plan.options.max_seconds)
        board = self._options.get("tensorboard")
        events = None if board is None else Path(board) / f"trial-{trial.number}"
        began = time.monotonic()
        value: float | None = None
        try:
            with tensorboard_log(events) as add_point:

                def evaluated(point: Point) -> None:
                    add_point(point)
                    compared.add(point)

                fitted = plan.fit(
                    self._log,
                    self._held_out.train,
                    self._held_out.validation,
                    hardware=self._hardware,
                    report=lambda seconds, _step, _loss, best: bar.update(
                        seconds / plan.options.max_seconds, best
                    ),
                    evaluated=evaluated,
                    state=self.state(trial.number) / "fit",
                )
            compared.end()
            value, outcome = max(fitted.ndcg_at_10, 0.0), TrialState.COMPLETE
        except optuna.TrialPruned:
            outcome = TrialState.PRUNED
        except (MemoryError, torch.OutOfMemoryError):
            outcome = TrialState.FAIL
        trial.set_user_attr(_SETTINGS, readable(drawn))
        trial.set_user_attr(_SECONDS, round(time.monotonic() - began, 1))
        self._study.tell(trial, value, state=outcome)

    def state(self, number: int) -> Path:
        """Where a trial keeps its fit."""
        return self._directory / "trials" / str(number)

    def move_state(self, number: int, to: int) -> None:
        """Give the fit of an interrupted trial to the one that takes it up."""
        if self.state(number).is_dir():
            self.state(number).rename(self.state(to))

    def forget_all_but_the_best(self) -> None:
        """Remove the fits that nobody needs any more."""
        kept = None if _best_value(self._study) is None else str(self._study.best_trial.number)
        for path in (self._directory / "trials").glob("*"):
            if path.name != kept:
                shutil.rmtree(path)


class Compared:
    """Tells a trial its best NDCG@10 so far after each of PARTS of its time, and prunes it."""

    def __init__(self, trial: optuna.Trial, max_seconds: float) -> None:
        self._trial, self._max_seconds = trial, max_seconds
        self._best: float | None = None
        self._part = 1  # the next one to be told, 1 to PARTS

    def add(self, point: Point) -> None:
        """An evaluation. Raises `optuna.TrialPruned` where the trial is not worth going on with."""
        if point.ndcg_at_10 is None:
            return
        share = point.seconds / self._max_seconds
        if self._tell_up_to(min(PARTS, int(share * PARTS))) and self._trial.should_prune():
            raise optuna.TrialPruned
        self._best = max(point.ndcg_at_10, self._best or 0.0)

    def end(self) -> None:
        """A fit that stopped early stays at its best: others are compared with that."""
        self._tell_up_to(PARTS)

    def _tell_up_to(self, part: int) -> bool:
        """Whether there was something to tell of the parts that are over."""
        told = False
        for each in range(self._part, part + 1):
            if self._best is not None:
                self._trial.report(self._best, each)
                told = True
        self._part = max(self._part, part + 1)
        return told


def rows(found: Found) -> list[dict[str, Any]]:
    """The trials of a search in their order, as a table or JSON."""
    return [
        {
            "trial": trial.number,
            "outcome": trial.state.name.lower(),
            "ndcg_at_10": None if trial.value is None else round(trial.value, 5),
            "seconds": trial.user_attrs.get(_SECONDS),
            **trial.user_attrs.get(_SETTINGS, {}),
        }
        for trial in found.trials
    ]


def readable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as a search's rows have them: plain values."""
    plain = dict(settings)
    if "augmentation" in plain:
        changed = plain.pop("augmentation")
        plain |= {name: getattr(changed, name) for name in ("crop", "mask", "reorder")}
    return plain


def _study(directory: Path, what: str, seed: int) -> optuna.Study:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / JOURNAL_FILE
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(path))),
        study_name=STUDY,
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(
            n_startup_trials=NEVER_PRUNED,
            n_warmup_steps=FIRST_COMPARED,
            n_min_trials=NEVER_PRUNED,
        ),
    )
    # Otherwise a search that goes on would draw what it drew in the beginning.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
    if study.user_attrs.get(_SEARCH, what) != what:
        message = (
            f"{path} is a search on other data or with other options: give the same ones, or "
            "another directory"
        )
        raise DataError(message)
    study.set_user_attr(_SEARCH, what)
    return study


def _abandon_running(study: optuna.Study) -> int | None:
    """Let an interrupted trial be tried again, next; returns its number."""
    found = None
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.enqueue_trial(trial.params, {_INTERRUPTED: trial.number})
        study.tell(trial.number, state=TrialState.FAIL)
        found = trial.number
    return found


def _ended(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that ran to an end of their own: those with an account of how they went."""
    return [
        trial
        for trial in study.trials
        if trial.state.is_finished() and _SETTINGS in trial.user_attrs
    ]


def _best_value(study: optuna.Study) -> float | None:
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    return max((trial.value for trial in complete if trial.value is not None), default=None)
