"""What travels to a hospital: the bundle's exact files, and what its ClientApp loads."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from flwr.cli.build import build_fab_from_disk

from client.privacy.engines import ENGINES

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("fab_files.txt")
LATER = (
    "client.privacy.private_replica",
    "wardlaw.privacy.accountant",
    *(module for module, _ in ENGINES.values()),
)
ROOMS = {"wardlaw", "models", "client", "strategies", "server"}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A clean checkout: the files that git would keep, and no others."""
    folder = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


@pytest.fixture(scope="module")
def bundle(checkout, tmp_path_factory) -> Path:
    """The unpacked bundle."""
    folder = tmp_path_factory.mktemp("bundle")
    with zipfile.ZipFile(io.BytesIO(build_fab_from_disk(checkout))) as archive:
        archive.extractall(folder)
    return folder


def test_the_bundle_holds_exactly_the_listed_files(bundle):
    found = sorted(path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file())
    expected = LIST.read_text(encoding="utf-8").split()
    unexpected, absent = sorted(set(found) - set(expected)), sorted(set(expected) - set(found))
    assert (unexpected, absent) == ([], []), f"if that is meant, edit {LIST.name}"


def test_no_file_of_a_room_that_a_hospital_does_not_need_is_listed():
    rooms = {name.split("/")[0] for name in LIST.read_text(encoding="utf-8").split()}
    assert rooms == {".info", "pyproject.toml", *ROOMS}


@pytest.fixture(scope="module")
def loaded(bundle) -> dict[str, dict[str, str]]:
    """File of each module that a process has after it imported an app, or what private runs import later."""
    return {module: files_loaded_by(module, bundle) for module in ("client.app", "server.app", *LATER)}


def files_loaded_by(module: str, folder: Path) -> dict[str, str]:
    code = (
        f"import json, sys; sys.path.insert(0, {str(folder)!r}); import {module}; "
        "print(json.dumps({name: getattr(m, '__file__', None) or '' for name, m in sys.modules.items()}))"
    )
    ended = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd="/", capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    files: dict[str, str] = json.loads(ended.stdout)
    return files


def test_a_hospital_loads_neither_the_server_nor_analysis_nor_plotting(loaded):
    rooms = {name.split(".")[0] for name in loaded["client.app"]}
    assert rooms & {"server", "strategies", "simulations", "analysis"} == set()
    assert rooms & {"matplotlib", "plotly", "scipy", "sklearn", "pandas", "ray"} == set()


def test_the_server_loads_nothing_of_a_hospitals_code(loaded):
    rooms = {name.split(".")[0] for name in loaded["server.app"]}
    assert rooms & {"client", "simulations", "analysis"} == set()


def test_the_bundles_own_code_is_loaded_and_all_of_it(bundle, loaded):
    files = {Path(file) for files in loaded.values() for file in files.values()}
    inside = {file.relative_to(bundle).as_posix() for file in files if file.is_relative_to(bundle)}
    assert sorted({path.relative_to(bundle).as_posix() for path in bundle.rglob("*.py")} - inside) == []
    elsewhere = [
        file for files in loaded.values() for name, file in files.items() if name.split(".")[0] in ROOMS
    ]
    assert all(Path(file).is_relative_to(bundle) for file in elsewhere)
