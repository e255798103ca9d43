"""Worker main: another type of worker in the foreground, as `freshrec worker` is one."""

import os
import sys
from pathlib import Path
from typing import NoReturn

from streams.app import run_worker
from streams.setting_sources import load_settings
from streams.settings import ENVIRONMENT_PREFIX
from streams.worker import Worker


def run(worker_type: type[Worker]) -> NoReturn:
    """Until it is stopped, with the settings that `freshrec worker` would have."""
    file = os.environ.get(f"{ENVIRONMENT_PREFIX}CONFIG")
    settings = load_settings({}, os.environ, Path(file) if file else None)
    sys.exit(run_worker(settings, worker_type))


def code_to_run(module: str, name: str) -> str:
    """The Python of a process that runs that type of worker."""
    return f"from streams.bench.worker_main import run; from {module} import {name}; run({name})"
