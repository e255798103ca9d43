"""The examples as files: short, pinned, and with the jars that the tests run them with."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from streams.broker_jars import kafka_jars, kafka_version

EXAMPLES = Path(__file__).parents[1] / "examples"
SOURCES = [
    path
    for suffix in ("py", "java", "js")
    for path in sorted(EXAMPLES.rglob(f"*.{suffix}"))
    if "node_modules" not in path.parts
]
POM = {"m": "http://maven.apache.org/POM/4.0.0"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_an_example_can_be_read_at_once_and_is_listed(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 80
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert f"({path.relative_to(EXAMPLES)})" in listed


def test_the_java_example_has_the_clients_of_the_kafka_that_the_tests_run() -> None:
    tree = ET.parse(EXAMPLES / "java/pom.xml")
    versions = {
        dependency.findtext("m:artifactId", namespaces=POM): dependency.findtext(
            "m:version", namespaces=POM
        )
        for dependency in tree.iterfind("m:dependencies/m:dependency", POM)
    }
    assert versions["kafka-clients"] == kafka_version()


def test_the_java_example_has_the_json_that_the_tests_run_it_with(kafka_installed: None) -> None:
    pom = (EXAMPLES / "java/pom.xml").read_text()
    (version,) = re.findall(
        r"<artifactId>jackson-databind</artifactId>\s*<version>([^<]+)</version>", pom
    )
    assert f"jackson-databind-{version}.jar" in {jar.name for jar in kafka_jars()}


def test_the_packages_of_node_are_locked_with_hashes_and_no_address() -> None:
    asked = json.loads((EXAMPLES / "node/package.json").read_text())["dependencies"]
    text = (EXAMPLES / "node/package-lock.json").read_text()
    assert "http" not in text
    locked = json.loads(text)["packages"]
    packages = {name: each for name, each in locked.items() if name}
    assert {f"node_modules/{name}" for name in asked} <= set(packages)
    assert all(each["integrity"].startswith("sha512-") for each in packages.values())
