"""The state of the source: house rules that a machine can judge."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging import REPOSITORY

ROOMS = ("burstd", "plugins", "lab", "demo")
LONGEST_FILE, LONGEST_FUNCTION = 400, 60
LARGEST = 1_500_000  #: bytes
#: Written in halves: this file is searched too.
ELSEWHERE = tuple(
    "".join(halves)
    for halves in (
        ("/wo", "rk/"), ("/fa", "rm/"), ("deb.deb", "ian.org"), ("pyp", "i.org"),
        ("registry.npm", "js.org"), ("files.python", "hosted.org"),
    )
)  # fmt: skip
SOURCES = [path for room in ROOMS for path in sorted((REPOSITORY / room).rglob("*.py"))]


def test_no_file_is_longer_than_400_lines() -> None:
    more = [path for room in ROOMS for path in (REPOSITORY / room).rglob("*.[ch]")]
    more += [path for room in ("bench", "tests") for path in (REPOSITORY / room).rglob("*.py")]
    long = {
        str(path.relative_to(REPOSITORY)): count
        for path in [*SOURCES, *more]
        if (count := len(path.read_text().splitlines())) > LONGEST_FILE
    }
    assert {} == long


def test_no_function_is_longer_than_60_lines() -> None:
    long = {
        f"{path.relative_to(REPOSITORY)}:{node.lineno} {node.name}": length
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
    }
    assert {} == long


def _listed() -> list[Path]:
    """All that is, or would be, kept."""
    argv = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(
        argv, cwd=REPOSITORY, check=True, capture_output=True, text=True, timeout=30
    )
    paths = (REPOSITORY / name for name in done.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def test_nothing_large_is_kept_that_could_be_fetched_or_made() -> None:
    found = {str(path.relative_to(REPOSITORY)): path.stat().st_size for path in _listed()}
    assert {} == {name: size for name, size in found.items() if size > LARGEST}
    assert [] == [name for name in found if name.endswith((".whl", ".gz", ".zip", ".pyz"))]


def test_no_text_names_a_path_of_some_machine_or_a_package_registry() -> None:
    found = []
    for path in _listed():
        text = path.read_text(errors="replace")
        found += [f"{path.relative_to(REPOSITORY)}: {word}" for word in ELSEWHERE if word in text]
    assert [] == found


def test_no_secret_lies_in_the_repository() -> None:
    marker = "PRIVATE" + " KEY-----"
    found = [
        str(path.relative_to(REPOSITORY))
        for path in SOURCES
        if f"-----BEGIN OPENSSH {marker}\n" in path.read_text()
    ]
    assert [] == found


def test_vendors_of_other_targets_are_not_needed() -> None:
    """The package and every one of its rooms import where those vendors can't be imported."""
    rooms = sorted(
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
        for path in (REPOSITORY / "burstd").rglob("*.py")
        if path.name not in {"__main__.py", "env.py"}  # programs: env.py is Alembic's to run
        and "contracts" not in path.parts
    )
    hide = "import sys; sys.modules.update(dict.fromkeys(('pyslurm', 'boto3', 'kubernetes')))"
    program = f"{hide}; import {', '.join(rooms)}, burstd_slurm"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "" == done.stderr


@pytest.mark.parametrize(
    "tool",
    [("ruff", "check", "-q", "."), ("ruff", "format", "--check", "-q", "."), ("mypy",)],
    ids=["ruff", "format", "mypy"],
)
def test_the_tools_find_nothing(tool: tuple[str, ...]) -> None:
    program = Path(sys.executable).parent / tool[0]
    done = subprocess.run(
        [str(program), *tool[1:]],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stdout[-3000:]


def test_the_rooms_are_layered() -> None:
    program = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run(
        [str(program), "--no-cache"],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stdout[-3000:]
