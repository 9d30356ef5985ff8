"""The program as the interpreter there compiles it once: only believed where nothing is odd."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from burstd.far.pack import build
from burstd.far.program import ALONE
from tests.far.kit import PYTHON

#: Puts a word of its own into what was compiled: so it shows what runs.
MARKED = """
import marshal, sys
with open(sys.argv[1], "rb") as file:
    known, digest, codes = marshal.load(file)
said = "def main(_): print('compiled')"
codes["burstd.far.cli"] = marshal.dumps(compile(said, "cli", "exec"))
with open(sys.argv[1], "wb") as file:
    marshal.dump((known, digest, codes), file)
"""


def run(program: Path, verb: str) -> str:
    done = subprocess.run(
        [PYTHON, *ALONE, program, verb], capture_output=True, text=True, check=True
    )
    assert not done.stderr
    return done.stdout


@pytest.fixture
def program(tmp_path: Path) -> Path:
    build(tmp_path / "far.pyz")
    return tmp_path / "far.pyz"


@pytest.fixture
def compiled(program: Path) -> Path:
    """What was made of it, with a mark."""
    run(program, "compile")
    (made,) = set(program.parent.iterdir()) - {program}
    subprocess.run([PYTHON, "-c", MARKED, made], check=True)
    return made


def test_it_says_the_same(program: Path) -> None:
    before = run(program, "version")
    run(program, "compile")
    assert before == run(program, "version")
    assert len(before.split()[-1]) == 64


def test_what_was_compiled_runs(program: Path, compiled: Path) -> None:
    assert "compiled\n" == run(program, "version")


def test_it_is_compiled_anew_over_what_was_there(program: Path, compiled: Path) -> None:
    compiled.write_bytes(b"cut off")
    run(program, "compile")
    assert run(program, "version").startswith("burst-far ")
    assert 2 == len(list(program.parent.iterdir()))


def _touched(program: Path, _: Path) -> None:
    os.utime(program)


def _another(program: Path, _: Path) -> None:
    content = program.read_bytes()
    program.unlink()
    program.write_bytes(content)


def _writable(_: Path, compiled: Path) -> None:
    compiled.chmod(0o664)


def _strange(_: Path, compiled: Path) -> None:
    if os.geteuid():
        pytest.skip("needs root")
    os.chown(compiled, 4321, -1)


def _cut(_: Path, compiled: Path) -> None:
    compiled.write_bytes(compiled.read_bytes()[:-1])


def _odd(_: Path, compiled: Path) -> None:
    compiled.write_bytes(b"N")  # marshal's None


def _unreadable(_: Path, compiled: Path) -> None:
    compiled.unlink()
    compiled.mkdir()


@pytest.mark.parametrize(
    "change", [_touched, _another, _writable, _strange, _cut, _odd, _unreadable]
)
def test_at_any_doubt_the_one_file_counts(
    program: Path, compiled: Path, change: Callable[[Path, Path], None]
) -> None:
    change(program, compiled)
    assert run(program, "version").startswith("burst-far protocol ")
