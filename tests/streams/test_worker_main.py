"""Another type of worker in the foreground: its settings, and the code of its process."""

import subprocess
import sys
from typing import Any

import pytest

from streams.bench import worker_main
from streams.bench.hollow import HollowWorker
from streams.settings import Settings
from streams.worker import Worker
from streams.worker_process import code_to_run


def test_a_process_has_the_settings_that_a_worker_would_have(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    given: list[tuple[Settings, type[Worker]]] = []
    monkeypatch.setattr(worker_main, "run_worker", lambda *args: given.append(args) or 3)
    file = tmp_path / "f.toml"
    file.write_text('list_size = 7\ngroup = "g1"\n')
    monkeypatch.setenv("FRESHREC_CONFIG", str(file))
    monkeypatch.setenv("FRESHREC_GROUP", "g2")
    with pytest.raises(SystemExit) as ended:
        worker_main.run(HollowWorker)
    assert ended.value.code == 3
    ((settings, worker_type),) = given
    assert worker_type is HollowWorker
    assert (settings.list_size, settings.group) == (7, "g2")


def test_the_code_of_a_process_runs_that_type_of_worker() -> None:
    code = code_to_run("streams.bench.hollow", "HollowWorker")
    told = "import streams.bench.worker_main as m; m.run = lambda kind: print(kind.__name__); "
    done = subprocess.run(
        [sys.executable, "-c", told + code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["HollowWorker"]


def test_a_benchmark_that_starts_workers_loads_none_and_keeps_its_arguments() -> None:
    code = (
        "import sys; sys.argv[1:] = ['bench', 'pipeline', '--loop-lists', '2000'];"
        "import streams.bench.pipeline; sys.exit('faust' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
