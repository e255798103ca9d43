"""Where Apache Kafka comes from: Java on the machine, jars resolved by Maven once and then cached.

The jars stand in `$XDG_CACHE_HOME/freshrec/kafka-VERSION` (`~/.cache` where that is not set). The
directory appears under its final name only when it is complete, so two processes that resolve at
once do not disturb each other and an interrupted download is never taken for a finished one.
"""

import os
import re
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ET
import zlib
from pathlib import Path

POM = Path(__file__).with_name("kafka_pom.xml")
"""Which Apache Kafka to resolve: in a checkout a link to docker/kafka, in a wheel a copy."""
MINIMUM_JAVA = 17
RESOLVE_TIMEOUT_SECONDS = 600


class KafkaUnavailable(RuntimeError):  # noqa: N818 - a state of the machine, not a defect
    """Apache Kafka cannot be run here; the message is one sentence that says what to do."""


def kafka_version(pom: Path = POM) -> str:
    """Version of Apache Kafka that the pom names."""
    namespace = {"m": "http://maven.apache.org/POM/4.0.0"}
    tree = ET.parse(pom)  # noqa: S314 - our own file
    version = tree.findtext("m:properties/m:kafka.version", namespaces=namespace)
    if not version:
        raise KafkaUnavailable(f"{pom} names no kafka.version; reinstall freshrec.")
    return version


def cache_dir() -> Path:
    """Directory of everything that freshrec can fetch or compute again."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "freshrec"


def find_java() -> Path:
    """The `java` to run brokers with: that of JAVA_HOME, else the first on PATH.

    Raises:
        KafkaUnavailable: there is none, or it is older than Java 17.
    """
    home = os.environ.get("JAVA_HOME")
    candidate = Path(home, "bin", "java") if home else None
    found = str(candidate) if candidate and candidate.is_file() else shutil.which("java")
    if found is None:
        raise KafkaUnavailable(
            f"Apache Kafka needs Java {MINIMUM_JAVA} or newer and no java was found: install a JRE "
            "(Debian: apt-get install openjdk-17-jre-headless; macOS: brew install openjdk) "
            "or set JAVA_HOME."
        )
    version = java_version(Path(found))
    if version < MINIMUM_JAVA:
        raise KafkaUnavailable(
            f"Apache Kafka needs Java {MINIMUM_JAVA} or newer and {found} is Java {version}: "
            "install a newer one or set JAVA_HOME to it."
        )
    return Path(found)


def java_version(java: Path) -> int:
    """Major version of a `java` executable, 0 where it does not say."""
    try:
        answer = subprocess.run(
            [str(java), "-version"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KafkaUnavailable(
            f"{java} does not run ({error}): install Java {MINIMUM_JAVA} or newer."
        ) from error
    # "17.0.15", "25", or before Java 9 "1.8.0_392"
    match = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return int(match.group(1)) if match else 0


def kafka_jars() -> list[Path]:
    """All jars of the broker, in a stable order; fetched through Maven where they are not cached.

    Raises:
        KafkaUnavailable: they are not cached and Maven is missing or could not get them.
    """
    directory = cache_dir() / f"kafka-{kafka_version()}"
    if not directory.is_dir():
        _resolve(directory)
    jars = sorted(directory.glob("*.jar"))
    if not jars:
        raise KafkaUnavailable(f"{directory} holds no jars: remove it and try again.")
    return jars


def class_archive(java: Path) -> Path:
    """File of loaded broker classes (class data sharing) that this Java can start from.

    It may not exist yet. The name changes with the Java installation, because another one's archive
    would be ignored.
    """
    target = java.resolve()
    installation = zlib.crc32(f"{target} {target.stat().st_mtime_ns}".encode())
    return cache_dir() / f"kafka-{kafka_version()}" / f"classes-{installation:08x}.jsa"


def _resolve(directory: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaUnavailable(
            "Apache Kafka's jars are fetched once with Maven and no mvn was found: install it "
            "(Debian: apt-get install maven; macOS: brew install maven)."
        )
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix="resolving-") as scratch:
        jars = Path(scratch, "jars")
        # Maven may write beside the pom, and an installed package's directory can be read-only.
        pom = Path(scratch, "pom.xml")
        shutil.copyfile(POM, pom)
        command = [maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
        command += [f"-DoutputDirectory={jars}", "-DincludeScope=runtime"]
        try:
            outcome = subprocess.run(
                command,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                timeout=RESOLVE_TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise KafkaUnavailable(
                f"Maven did not fetch Apache Kafka within {RESOLVE_TIMEOUT_SECONDS} s: "
                "check the network and try again."
            ) from error
        if outcome.returncode != 0 or not jars.is_dir():
            last_lines = (outcome.stdout + outcome.stderr).strip().splitlines()[:3]
            raise KafkaUnavailable(
                "Maven could not fetch Apache Kafka; check the network and Maven's settings: "
                + " ".join(last_lines)
            )
        try:
            jars.rename(directory)
        except OSError:
            # Another process was quicker; its directory is as complete as ours.
            if not directory.is_dir():
                raise
