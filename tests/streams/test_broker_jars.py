"""Finding Java, fetching Kafka once, and what is said when something is missing."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from streams.broker_jars import POM, KafkaUnavailable, find_java, kafka_jars, kafka_version


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory that is the whole PATH, and an empty cache."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return directory


def install(directory: Path, name: str, script: str) -> None:
    program = directory / name
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)


def test_the_pom_names_one_version_of_kafka_4() -> None:
    assert kafka_version().startswith("4.")
    assert ET.parse(POM).getroot().tag.endswith("project")


def test_the_package_links_to_the_pom_among_the_docker_files() -> None:
    assert POM.resolve() == Path(__file__).parents[2] / "docker" / "kafka" / "pom.xml"


def test_missing_java_is_one_sentence_that_says_how_to_get_it(programs: Path) -> None:
    with pytest.raises(KafkaUnavailable, match=r"no java was found: install .*apt-get install"):
        find_java()


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.22"])
def test_java_before_17_is_refused(programs: Path, version: str) -> None:
    install(programs, "java", f"echo 'openjdk version \"{version}\" 2020-01-01' >&2")
    with pytest.raises(KafkaUnavailable, match="needs Java 17 or newer"):
        find_java()


@pytest.mark.parametrize("version", ["17.0.15", "25", "21-ea"])
def test_java_from_17_on_is_taken(programs: Path, version: str) -> None:
    install(programs, "java", f"echo 'openjdk version \"{version}\" 2025-01-01' >&2")
    assert find_java() == programs / "java"


def test_java_home_goes_before_path(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "jdk"
    (home / "bin").mkdir(parents=True)
    install(home / "bin", "java", "echo 'openjdk version \"21\"' >&2")
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert find_java() == home / "bin" / "java"


def test_missing_maven_is_one_sentence_that_says_how_to_get_it(programs: Path) -> None:
    with pytest.raises(KafkaUnavailable, match=r"no mvn was found: install it .*apt-get install"):
        kafka_jars()


def test_jars_are_fetched_once_and_then_taken_from_the_cache(
    programs: Path, tmp_path: Path
) -> None:
    # Just enough of Maven: puts two jars where -DoutputDirectory says.
    install(
        programs,
        "mvn",
        'for a in "$@"; do case "$a" in -DoutputDirectory=*) d="${a#*=}";; esac; done\n'
        '/bin/mkdir -p "$d"; : > "$d/b.jar"; : > "$d/a.jar"',
    )
    directory = tmp_path / "cache" / "freshrec" / f"kafka-{kafka_version()}"
    assert kafka_jars() == [directory / "a.jar", directory / "b.jar"]
    (programs / "mvn").unlink()
    assert kafka_jars() == [directory / "a.jar", directory / "b.jar"]
    assert list(directory.parent.iterdir()) == [directory]


def test_a_failed_fetch_leaves_nothing_that_looks_complete(programs: Path, tmp_path: Path) -> None:
    install(programs, "mvn", "echo 'could not resolve' ; exit 1")
    with pytest.raises(KafkaUnavailable, match="could not resolve"):
        kafka_jars()
    assert list((tmp_path / "cache" / "freshrec").iterdir()) == []
