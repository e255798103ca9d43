"""`freshrec train --search N`: trials, then the artefact of the best one, and its command."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from model.data import Sequences

# Option of the command -> argument of `model.train.train`, where their names differ.
_ARGUMENTS = {"augment": "augmentation"}
_OF_THE_SEARCH = ("--search", "--resume")


def given_settings(context: click.Context) -> frozenset[str]:
    """Arguments of `train` that the command line or the environment sets: not to be searched."""
    return frozenset(
        _ARGUMENTS.get(name, name)
        for name in context.params
        if context.get_parameter_source(name)
        not in (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)
    )


def train_with_search(
    log: Sequences,
    out: Path,
    *,
    trials: int,
    given: Collection[str],
    arguments: Sequence[str],
    options: Mapping[str, Any],
) -> dict[str, object]:
    """The report of `train` on the best settings that `trials` find, with `search` in it.

    The fit of the best trial is taken up where it ended, so nothing is fitted twice. options: all
    arguments of `train`; `resume` is where the search is kept. arguments: of the command line,
    from which the command with the best settings is made.
    """
    from model.search import readable, rows, search
    from model.search_space import SEARCHED, flags
    from model.train import train

    with _directory(options["resume"]) as directory:
        found = search(
            log,
            directory,
            trials=trials,
            options=options,
            fixed=SEARCHED & set(given),
            progress=options["progress"],
        )
        command = command_with(arguments, flags(found.best))
        chosen = {**options, **found.best, "resume": found.state, "command": command}
        report = train(log, out, **chosen)
    report["search"] = {
        "trials": rows(found),
        "best": readable(found.best),
        "ndcg_at_10": round(found.ndcg_at_10, 5),
        "command": command,
    }
    return report


def command_with(arguments: Sequence[str], settings: Mapping[str, str]) -> str:
    """The command to paste: these arguments without the search, and the settings as options."""
    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        if word in _OF_THE_SEARCH:
            next(words, None)
        elif not word.startswith(tuple(f"{name}=" for name in _OF_THE_SEARCH)):
            kept.append(word)
    for flag, value in settings.items():
        kept += [flag, value]
    return shlex.join(["freshrec", *kept])


@contextmanager
def _directory(kept: Path | None) -> Iterator[Path]:
    """Where the search is stored; without a place of its own it is gone in the end."""
    if kept is not None:
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="freshrec-search-") as folder:
        yield Path(folder)
