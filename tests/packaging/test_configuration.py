"""``config.example.toml``: generated, loadable, and true about every default."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from burstd.app import check
from burstd.config.example import render
from burstd.config.read import ConfigError, read
from tests.packaging import REPOSITORY

EXAMPLE = REPOSITORY / "config.example.toml"
#: They must be there when the configuration is read.
_FILES = r"\b(?:applications|ssh_authority|known_hosts|file|site_key)"
_DEFAULT = re.compile(r"^# (\w+ = .*)$", re.MULTILINE)


@pytest.fixture
def example(tmp_path: Path) -> str:
    """The example's text with its files moved to where they can be made."""
    text = EXAMPLE.read_text()
    for file in set(re.findall(rf'{_FILES} = "([^"]*)"', text)):
        place = tmp_path / file.lstrip("/")
        if place.suffix or place.name in {"ca", "known_hosts"}:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
        else:
            place.mkdir(parents=True, exist_ok=True)
        text = text.replace(f'"{file}"', f'"{place}"')
    return text


def test_it_is_what_the_model_renders() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "burstd.config.example"],
        cwd=REPOSITORY, check=True, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert EXAMPLE.read_text() == done.stdout == render()


def test_it_loads_once_its_files_are_there(example: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(_paths_given(example))
    settings = check(read(path), path)
    assert {"cloud"} == set(settings.plugins) == set(settings.config.targets)


def test_every_value_that_is_commented_out_is_the_default(example: str, tmp_path: Path) -> None:
    """All of them, also those below a named table."""
    short, full = tmp_path / "short.toml", tmp_path / "full.toml"
    short.write_text(_paths_given(example))
    full.write_text(_DEFAULT.sub(r"\1", example))
    assert 20 < len(_DEFAULT.findall(example))
    assert read(short) == read(full)


def test_every_problem_comes_with_file_line_and_key_on_a_line_of_its_own(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text('[site]\npoll = "30"\n[policy]\nhigh = 3\nbugdet = "1 EUR/month"\n')
    with pytest.raises(ConfigError) as caught:
        read(bad)
    found = [line for line in caught.value.problems if "paths." not in line]
    assert [
        f"{bad}:2: site.poll: expected a duration with its unit, like '30s', '15m', '24h' or '2d'",
        f"{bad}:4: policy.high: expected core-hours with the unit, like '500 core-hours'",
        f"{bad}:5: policy.bugdet: unknown key; did you mean 'budget'?",
    ] == found


@pytest.mark.parametrize(
    "text",
    ["paths = 3\n", "[[paths]]\n", "targets = 3\n", "[targets]\ncloud = 3\n", "policy = []\n",
     "[policy\n", "\x00\n", '[targets.x]\nplugin = "nowhere"\n', "[site]\npoll = 1979-05-27\n"],
)  # fmt: skip
def test_a_file_of_nonsense_gives_problems_and_no_traceback(text: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        check(read(path), path)
    assert all(line.startswith(str(path)) and "\n" not in line for line in caught.value.problems)


def _paths_given(text: str) -> str:
    """Only the paths are said, for the default ones are not on this machine."""
    return re.sub(rf"^# ({_FILES} = .*)$", r"\1", text, flags=re.MULTILINE)
