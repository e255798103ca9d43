"""What every test gets: a clean environment, steady property tests, Kafka where there is one."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, settings

from streams.broker_jars import KafkaUnavailable, find_java, kafka_jars
from tests.browser import Browser

# No deadlines: a shared machine's pauses are not the code's. CI runs the same examples every time.
_SUPPRESS = [HealthCheck.too_slow]
settings.register_profile("local", deadline=None, suppress_health_check=_SUPPRESS)
settings.register_profile(
    "ci", deadline=None, suppress_health_check=_SUPPRESS, derandomize=True, print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "local"))

REQUIRE_KAFKA = "FRESHREC_REQUIRE_KAFKA"


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the caller's own FRESHREC_* settings out of the environment."""
    for name in list(os.environ):
        if name.startswith("FRESHREC_") and name != REQUIRE_KAFKA:
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def kafka_installed() -> None:
    """Skip where Apache Kafka cannot run, or fail there if FRESHREC_REQUIRE_KAFKA=1."""
    try:
        find_java()
        kafka_jars()
    except KafkaUnavailable as error:
        if os.environ.get(REQUIRE_KAFKA) == "1":
            pytest.fail(f"{REQUIRE_KAFKA}=1, but: {error}")
        pytest.skip(str(error))


def missing(words: str) -> NoReturn:
    """Skip, or fail if FRESHREC_REQUIRE_KAFKA=1: what the test needs is not on this machine."""
    if os.environ.get(REQUIRE_KAFKA) == "1":
        pytest.fail(f"{REQUIRE_KAFKA}=1, but {words}")
    pytest.skip(words)


def program(name: str, package: str, *other_names: str) -> str:
    """Path of a program; skips where it is missing, or fails there if FRESHREC_REQUIRE_KAFKA=1."""
    path = next(filter(None, map(shutil.which, (name, *other_names))), None)
    if path is None:
        missing(f"{name} is not installed (Debian: apt-get install {package})")
    return path


def npm(*arguments: str, directory: Path) -> str:
    """What npm prints; skips, or fails, where it finds no registry."""
    command = [program("npm", "npm"), "--silent", *arguments]
    try:
        done = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, check=False, timeout=90
        )
    except subprocess.TimeoutExpired:
        missing(f"npm {arguments[0]} did not end within 90 s")
    if done.returncode != 0:
        missing(f"npm {' '.join(arguments)} failed: {done.stdout}{done.stderr}")
    return done.stdout


@pytest.fixture(scope="session")
def promtool() -> str:
    """Prometheus's checker of rules, configurations and metrics."""
    return program("promtool", "prometheus")


@pytest.fixture(scope="session")
def prometheus_server() -> str:
    """The Prometheus server itself."""
    return program("prometheus", "prometheus")


@pytest.fixture(scope="session")
def chromium() -> str:
    """A browser for the console."""
    return program("chromium", "chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests of a run; each page of it has storage of its own."""
    running = Browser(chromium, tmp_path_factory.mktemp("chromium"))
    try:
        yield running
    finally:
        running.close()


@pytest.fixture(scope="session")
def text_artifact(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An artefact that places items by their text, with its checkpoint beside it."""
    from tests.model.text_samples import make_text_artifact

    return make_text_artifact(tmp_path_factory.mktemp("text-artifact"))


@pytest.fixture(autouse=True)
def marked_tests_need_kafka(request: pytest.FixtureRequest) -> None:
    """Apply `kafka_installed` to every test with the marker `kafka`."""
    if request.node.get_closest_marker("kafka") is not None:
        request.getfixturevalue("kafka_installed")
