"""The wheel holds everything that the programs need, and works without the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
VERBS = ("bench", "bng", "collector", "config", "lab", "oss")


def files(*patterns: str) -> set[str]:
    """Files of the checkout, by pattern."""
    found = {path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file()}
    return {str(path.relative_to(ROOT)) for path in found if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by the backend that pyproject.toml names, offline and without isolation."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel in a folder of its own; its dependencies are those of the environment."""
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    done = subprocess.run(
        [
            *pip,
            "--disable-pip-version-check",
            "--root-user-action=ignore",
            "--target",
            str(target),
            str(wheel),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return target


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> Run:
    """Runs Python with the installed wheel, far from the checkout."""

    def start(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AETHER_")}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=environment | {"PYTHONPATH": str(installed)},
            capture_output=True,
            text=True,
            check=False,
        )

    return start


@pytest.mark.parametrize(
    "patterns",
    [
        pytest.param(("yang/modules/*",), id="YANG modules"),
        pytest.param(("nbi/modules/*.yang",), id="modules of NETCONF"),
        pytest.param(("lab/templates/**/*",), id="templates of the lab"),
        pytest.param(("lab/config/*.schema.json",), id="schema of the lab's file"),
        pytest.param(("bng/aaa/dictionary.*",), id="RADIUS dictionaries"),
        pytest.param(("collector/migrations/**/*.py", "oss/migrations/**/*.py"), id="migrations"),
        pytest.param(("oss/console/dist/**/*",), id="console"),
    ],
)
def test_data_is_in_the_wheel(wheel: Path, patterns: tuple[str, ...]) -> None:
    wanted = files(*patterns)
    if not wanted and "console" in patterns[0]:
        pytest.skip("the console is not built")
    assert wanted
    with zipfile.ZipFile(wheel) as archive:
        assert wanted - set(archive.namelist()) == set()


def test_only_what_runs_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert [name for name in names if "node_modules" in name or "__pycache__" in name] == []
    assert [name for name in names if name.startswith("oss/console/") and "/dist/" not in name] == []
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"yang", "bng", "nbi", "telemetry", "collector", "oss", "lab"}


def test_it_is_the_wheel_that_is_run(run: Run, installed: Path) -> None:
    packages = "yang, bng, nbi, telemetry, collector, oss, lab"
    done = run("-c", f"import {packages}\nfor p in ({packages}): print(p.__file__)")
    assert done.returncode == 0, done.stderr
    assert all(line.startswith(str(installed)) for line in done.stdout.splitlines())


def test_help_lists_every_verb(run: Run) -> None:
    done = run("-m", "lab.cli", "--help")
    assert done.returncode == 0, done.stderr
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("    ")}
    assert set(VERBS) <= listed
    assert "not available" not in done.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(run: Run, verb: str) -> None:
    done = run("-m", "lab.cli", verb, "--help")
    assert (done.returncode, done.stderr) == (0, "")


def test_doctor(run: Run) -> None:
    done = run("-m", "bng.cli", "doctor", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == (0 if report["usable"] else 1)


def test_the_schema_loads(run: Run) -> None:
    program = (
        "from nbi.server import MODULES_DIR\n"
        "from yang.datastore.context import SchemaBuilder, load_context\n"
        "schema = SchemaBuilder(load_context([MODULES_DIR])).build()\n"
        "print(schema.find('/aether-subscriber:sessions/session').kind, len(schema.modules))"
    )
    done = run("-c", program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("list ")


def test_the_default_file_is_good(run: Run) -> None:
    done = run("-m", "lab.cli", "config", "validate", "--config", str(ROOT / "aether.config.yaml"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "good" in done.stdout


def test_the_lab_renders(run: Run, tmp_path: Path) -> None:
    file = str(ROOT / "aether.config.yaml")
    done = run("-m", "lab.cli", "config", "render", "--config", file, "--output", str(tmp_path / "out"))
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out/bng/bng-01/startup.json").is_file()
