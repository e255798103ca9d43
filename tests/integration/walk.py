"""A reader of the documents with a few terminals, who runs their commands by name."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streams.ports import free_port
from tests.documents import commands

DEADLINE_SECONDS = 30.0
LOOKUP_TOKEN = "of-this-test"


def need(*programs: str) -> None:
    """Skip the test where a reader would lack one of these; fail where all tests must run."""
    for program in programs:
        if shutil.which(program) is None:
            if os.environ.get("FRESHREC_REQUIRE_KAFKA") == "1":
                pytest.fail(f"{program} is not installed")
            pytest.skip(f"{program} is not installed (Debian: apt-get install {program})")


class Walk:
    """A reader with two terminals: runs blocks of the documents by name, in a directory."""

    def __init__(self, directory: Path, bootstrap: str = "", topic_prefix: str = "") -> None:
        """bootstrap: of brokers that are there already, on loopback."""
        self.directory = directory
        self.kafka_port = int(bootstrap.rpartition(":")[2]) if bootstrap else free_port()
        self.worker_port = free_port()
        self.second_port = free_port()
        self.prometheus_port = free_port()
        self._open: list[subprocess.Popen[str]] = []
        self._blocks = {block.words: block for block in commands() if block.verdict == "run"}
        kept = {k: v for k, v in os.environ.items() if not k.startswith("FRESHREC_")}
        self.topic_prefix = topic_prefix
        self.environment = kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "FRESHREC_BOOTSTRAP": f"127.0.0.1:{self.kafka_port}",
            "FRESHREC_METRICS_PORT": str(self.worker_port),
            "FRESHREC_WORKER": f"http://127.0.0.1:{self.worker_port}",
            "FRESHREC_LOOKUP_TOKEN": LOOKUP_TOKEN,
            "FRESHREC_TOPIC_PREFIX": topic_prefix,
        }

    def start(self, name: str) -> subprocess.Popen[str]:
        """Run a block in a terminal that stays open."""
        with (self.directory / f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                self._command(name),
                cwd=self.directory,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._open.append(process)
        return process

    def run(self, name: str) -> str:
        """Run a block to its end; what it printed. It must succeed."""
        done = subprocess.run(
            self._command(name),
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{name}: {done.stdout}\n{done.stderr}\n{self.logs()}"
        return done.stdout

    def close(self) -> None:
        """Close the terminals, last opened first."""
        for process in reversed(self._open):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def look_up(self, path: str, port: int | None = None) -> Any:
        """What the worker says, None while it says nothing."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{port or self.worker_port}{path}",
            headers={"Authorization": f"Bearer {LOOKUP_TOKEN}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return json.loads(response.read())
        except (urllib.error.URLError, ConnectionError):
            return None

    def metrics(self, name: str) -> dict[str, float]:
        """One family of the worker's metrics, by the value of its label."""
        url = f"http://127.0.0.1:{self.worker_port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as response:
            text = response.read().decode()
        found = re.findall(rf'(?m)^{name}{{\w+="([^"]+)"}} (\S+)$', text)
        return {label: float(value) for label, value in found}

    def wait_for(self, what: str, seen: Callable[[], Any]) -> None:
        """Poll until `seen` says something true."""
        end = time.monotonic() + DEADLINE_SECONDS
        while not seen():
            assert all(process.poll() is None for process in self._open), self.logs()
            assert time.monotonic() < end, f"{what} did not come\n{self.logs()}"
            time.sleep(0.05)

    def logs(self) -> str:
        """The ends of the logs, for an error message."""
        return "\n".join(path.read_text()[-2000:] for path in self.directory.glob("*.log"))

    def _command(self, name: str) -> list[str]:
        block = self._blocks[name]
        code = (
            block.code.replace("127.0.0.1:9092", f"127.0.0.1:{self.kafka_port}")
            .replace("--port 9092", f"--port {self.kafka_port}")
            .replace("127.0.0.1:9464", f"127.0.0.1:{self.worker_port}")
            .replace("--metrics-port 9465", f"--metrics-port {self.second_port}")
            .replace("127.0.0.1:9090", f"127.0.0.1:{self.prometheus_port}")
            .replace("-t clicks", f"-t {self.topic_prefix}clicks")
        )
        if block.language == "python":
            script = self.directory / f"{name}.py"
            script.write_text(code)
            return [sys.executable, str(script)]
        return ["bash", "-euo", "pipefail", "-c", code]
