"""The package as others get it: what a wheel and an sdist hold, that it runs, and that its types reach a user's checker."""

from __future__ import annotations

import email
import re
import shutil
import site
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import anew
from samples import prose

STORES = ("s3", "gcs", "azure")  # clients of cloud providers, which are large and come one by one
ROOT = Path(__file__).parents[1]
SOURCES = (
    "pyproject.toml",
    "MANIFEST.in",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "Makefile",
    "mkdocs.yml",
)

USER = """
import anew

model = anew.train("faces/", budget="10m")
reveal_type(model.sample(4, seed=1))
reveal_type(anew.DataError)
anew.no_such_verb()
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel and an sdist, built from a copy so that nothing is left in the tree."""
    place = tmp_path_factory.mktemp("package")
    tree, out = place / "tree", place / "dist"
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in ("src", "tests", "docs"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=ignore)
    for name in SOURCES:
        shutil.copy2(ROOT / name, tree / name)
    build = f"from setuptools import build_meta as b; b.build_wheel({str(out)!r}); b.build_sdist({str(out)!r})"
    out.mkdir()
    completed = subprocess.run([sys.executable, "-c", build], check=False, cwd=tree, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr[-2000:]
    return out


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds the wheel; its dependencies are those of this one."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, with_pip=False)
    python = place / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    packages = Path(subprocess.check_output([python, "-c", code], text=True).strip())
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(packages)
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n", encoding="utf-8")
    return python


def run(python: Path, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    # -I: neither this checkout on PYTHONPATH nor the current folder can stand in for what is installed.
    return subprocess.run([python, "-I", *words], check=False, cwd=folder, capture_output=True, text=True)


def test_a_wheel_holds_all_files_of_the_package_and_nothing_else(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = {name for name in wheel.namelist() if not name.split("/")[0].endswith(".dist-info")}
    package = ROOT / "src" / "anew"
    files = {
        p.relative_to(package.parent).as_posix()
        for p in package.rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    assert names == files
    assert "anew/py.typed" in names and any(name.endswith("report.html") for name in names)


def test_the_metadata_of_a_wheel(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        metadata = email.message_from_bytes(wheel.read(f"anew-{anew.__version__}.dist-info/METADATA"))
    assert metadata["Version"] == anew.__version__
    extras = {
        "audio",
        "video",
        "molecules",
        "code",
        "tables",
        "hub",
        "http",
        "compressors",
        *STORES,
        "export",
        "serve",
        "studio",
        "track",
        "demo",
        "all",
        "docs",
        "dev",
    }
    assert set(metadata.get_all("Provides-Extra", [])) == extras
    core = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert len(core) <= 17 and all("<" in line for line in core), core
    every = next(line for line in metadata.get_all("Requires-Dist", []) if re.search(r"extra == .all.", line))
    assert all(name in every for name in extras - {"all", "docs", "dev", *STORES}), every


def test_an_sdist_holds_what_it_takes_to_build_and_test(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        *SOURCES,
        "src/anew/py.typed",
        "tests/conftest.py",
        "tests/test_package.py",
        "docs/architecture.md",
    } <= names
    assert not [name for name in names if name.startswith(("runs", "bench", "site", ".git"))]


@pytest.mark.slow
def test_an_installed_package_runs(installed: Path, tmp_path: Path) -> None:
    location = run(installed, "-c", "import anew; print(anew.__file__)", folder=tmp_path)
    assert location.stdout.startswith(str(installed.parents[1])), location.stderr
    version = run(installed, "-m", "anew", "--version", folder=tmp_path)
    assert version.stdout.split()[-1] == anew.__version__
    prose(tmp_path / "data" / "book.txt", 200)
    train = ("train", "data", "--run", "run", "--steps", "2", "--set", "evaluate_samples=2", "--set", "previews=0")
    completed = run(installed, "-m", "anew", *train, folder=tmp_path)
    assert completed.returncode == 0, completed.stderr
    assert (tmp_path / "run" / "report" / "report.html").exists()


@pytest.mark.slow
def test_its_types_reach_a_user(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(USER, encoding="utf-8")
    options = [
        "--strict",
        "--config-file=",
        f"--python-executable={installed}",
        f"--cache-dir={ROOT / '.mypy_cache' / 'user'}",
    ]
    command = [sys.executable, "-I", "-m", "mypy", *options, "user.py"]
    output = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True).stdout
    assert 'user.py:5: note: Revealed type is "anew.' in output and "Samples" in output, output
    assert 'Module has no attribute "no_such_verb"' in output, output
    assert "Found 1 error in 1 file" in output, output
