"""The project's own files: dependencies, locks, packaging, make targets."""

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
REQUIREMENTS = [Requirement(text) for text in PYPROJECT["project"]["dependencies"]]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PLATFORMS = [
    ("linux", "x86_64"),
    ("linux", "aarch64"),
    ("darwin", "arm64"),
    ("darwin", "x86_64"),
    ("win32", "AMD64"),
]


def applies(requirement: Requirement, platform: str, machine: str) -> bool:
    environment = {"sys_platform": platform, "platform_machine": machine}
    return requirement.marker is None or requirement.marker.evaluate(environment)


def locked(lock: Path) -> dict[str, Marker | None]:
    lines = re.findall(r"(?m)^([a-z0-9][^\\\n]*?) *\\?$", lock.read_text())
    return {r.name: r.marker for r in map(Requirement, lines)}


@pytest.mark.parametrize(("platform", "machine"), PLATFORMS)
def test_each_platform_gets_exactly_one_onnxruntime(platform: str, machine: str) -> None:
    runtimes = [r for r in REQUIREMENTS if r.name.startswith("onnxruntime")]
    chosen = [r.name for r in runtimes if applies(r, platform, machine)]
    gpu = (platform, machine) == ("linux", "x86_64")
    assert chosen == ["onnxruntime-gpu" if gpu else "onnxruntime"]


def test_one_onnxruntime_is_installed() -> None:
    names = {d.metadata["Name"] for d in distributions()}
    assert len(names & {"onnxruntime", "onnxruntime-gpu"}) == 1


def test_faust_is_pinned_exactly_because_its_consumer_is_subclassed() -> None:
    (faust,) = [r for r in REQUIREMENTS if r.name == "faust-streaming"]
    assert str(faust.specifier) == "==0.15.3"


def test_installing_the_worker_installs_no_torch() -> None:
    core = locked(ROOT / "requirements/core.txt")
    assert not {"torch", "transformers", "onnx", "triton"} & core.keys()
    assert {"torch", "transformers"} <= locked(ROOT / "requirements/all.txt").keys()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_holds_hashes_for_every_package_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert not re.search(r"https?:|index-url|find-links|trusted-host", text)
    packages = re.split(r"\n(?=[a-z0-9])", text)
    assert len(packages) > (5 if lock.name == "build.txt" else 30)
    assert [p.splitlines()[0] for p in packages if "--hash=sha256:" not in p] == []


@pytest.mark.parametrize("lock", ["core.txt", "all.txt"])
def test_the_locks_satisfy_the_declared_dependencies(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text()
    versions = dict(re.findall(r"(?m)^([a-z0-9-]+)(?:\[[^]]*\])?==([^ ;\\]+)", text))
    for requirement in REQUIREMENTS:
        assert requirement.name in versions
        assert requirement.specifier.contains(versions[requirement.name])


def test_what_builds_the_package_is_locked_too() -> None:
    asked = (ROOT / "requirements/build.in").read_text()
    assert re.findall(r"(?m)^[a-z].*$", asked) == PYPROJECT["build-system"]["requires"]
    text = (ROOT / "requirements/build.txt").read_text()
    versions = dict(re.findall(r"(?m)^([a-z0-9-]+)==([^ ;\\]+)", text))
    for requirement in map(Requirement, PYPROJECT["build-system"]["requires"]):
        assert requirement.specifier.contains(versions[requirement.name])
    makefile = (ROOT / "Makefile").read_text()
    assert "--build-constraints requirements/build.txt --editable ." in makefile


def test_the_core_lock_has_the_versions_of_the_full_lock() -> None:
    def pins(lock: str) -> set[tuple[str, str]]:
        text = (ROOT / "requirements" / lock).read_text()
        return set(re.findall(r"(?m)^([a-z0-9-]+)==([^ ;\\]+)", text))

    assert pins("core.txt") <= pins("all.txt")


@pytest.mark.parametrize(
    "target",
    [
        "install",
        "demo",
        "test",
        "check",
        "lint",
        "type",
        "imports",
        "bench",
        "faults",
        "clean",
        "lock",
    ],
)
def test_make_has_the_target_and_can_plan_it(target: str) -> None:
    plan = subprocess.run(
        ["make", "--dry-run", "--directory", str(ROOT), target],
        capture_output=True,
        text=True,
        check=False,
    )
    assert plan.returncode == 0, plan.stderr


def test_make_demo_of_a_clean_clone_installs_the_core_only(tmp_path: Path) -> None:
    kernels = [path.relative_to(ROOT) for path in ROOT.glob("*/kernels/*.pyx")]
    assert {path.parts[0] for path in kernels} == {"model", "streams"}
    for package in ("model", "streams"):
        (tmp_path / package / "kernels").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "hatch_build.py", *kernels):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "requirements").mkdir()
    for lock in LOCKS:
        (tmp_path / "requirements" / lock.name).write_text(lock.read_text())
    plan = subprocess.run(
        ["make", "--dry-run", "demo"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert "requirements/core.txt" in plan
    assert "requirements/all.txt" not in plan
    assert plan.index("requirements/core.txt") < plan.index("freshrec demo")


def test_the_command_is_the_one_that_is_installed() -> None:
    from streams import cli

    assert PYPROJECT["project"]["scripts"] == {"freshrec": "streams.cli:main"}
    assert callable(cli.main)


def test_the_wheel_has_every_file_that_the_packages_read(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    read = [*(ROOT / "streams/console").glob("*.*"), *(ROOT / "model/demo_artifact").glob("*")]
    assert len(read) > 20
    assert {str(path.relative_to(ROOT)) for path in read} <= packed
    assert "streams/kafka_pom.xml" in packed


def test_every_compiled_kernel_is_built_and_can_be_done_without() -> None:
    sources = {path.relative_to(ROOT) for path in ROOT.glob("*/kernels/compiled_*.pyx")}
    hook = (ROOT / "hatch_build.py").read_text()
    for source in sources:
        assert f'{source.stem}"' in hook
        assert (ROOT / source.with_suffix(".pyi")).exists()
        assert (ROOT / source.with_name(f"{source.stem.replace('compiled', 'pure')}.py")).exists()
    assert len(sources) > 10


def test_every_marker_of_a_test_is_declared() -> None:
    declared = {m.split(":")[0] for m in PYPROJECT["tool"]["pytest"]["ini_options"]["markers"]}
    built_in = {
        "asyncio",
        "parametrize",
        "usefixtures",
        "skipif",
        "skip",
        "xfail",
        "filterwarnings",
    }
    used = {
        name
        for path in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r"pytest\.mark\.(\w+)", path.read_text())
    }
    assert used - built_in - {"timeout"} <= declared


def test_continuous_integration_requires_kafka() -> None:
    script = (ROOT / ".ci/run").read_text()
    assert "export FRESHREC_REQUIRE_KAFKA=1" in script
    assert script.rstrip().endswith("make check\nmake guard\nmake test")
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
