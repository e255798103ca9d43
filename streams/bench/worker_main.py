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
