"""The documents say what is."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from burstd.core.lifecycle import TRANSITIONS
from burstd.domain.burst import Stage
from burstd.testing import points
from docs import draw
from tests.fault import page as faults
from tests.lab import shapes
from tests.packaging import REPOSITORY

LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
PAGES = sorted(
    page
    for page in REPOSITORY.rglob("*.md")
    if not {".venv", "build", ".git"} & set(page.relative_to(REPOSITORY).parts)
)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def logged() -> Iterator[tuple[str, str]]:
    """(event, level) of every log call in the program."""
    for source in (REPOSITORY / "burstd").rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "log"
                and node.func.attr in LEVELS
            ):
                event = node.args[0]
                assert isinstance(event, ast.Constant), f"{source}: an event is a constant"
                level = "error" if node.func.attr == "exception" else node.func.attr
                yield str(event.value), level


def test_the_drawing_of_the_life_cycle_is_that_of_the_table() -> None:
    text = draw.PAGE.read_text()
    assert draw.page(text) == text


def test_the_life_cycle_page_explains_every_stage() -> None:
    rows = re.findall(r"^\| \**(\w+)\** \|", draw.PAGE.read_text(), re.MULTILINE)
    assert [stage.value for stage in Stage] == rows[1:]
    assert set(Stage) == set(TRANSITIONS)


def test_the_events_page_lists_the_log_events_that_occur_and_no_others() -> None:
    rows = re.findall(
        r"^\| ([\w., ]+) \| (\w+) \|", (REPOSITORY / "docs/events.md").read_text(), re.MULTILINE
    )
    listed = {
        (name, level)
        for names, level in rows
        for name in names.split(", ")
        if "." in name
    }  # fmt: skip
    assert set(logged()) == listed


def test_events_are_named_noun_dot_participle() -> None:
    assert all(re.fullmatch(r"[a-z]+\.[a-z]+", event) for event, _ in logged())


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page: Path) -> None:
    links = [link for link in _LINK.findall(page.read_text()) if "://" not in link]
    broken = [link for link in links if not (page.parent / link.partition("#")[0]).exists()]
    assert [] == broken


def test_the_page_of_job_shapes_is_that_of_the_tried_ones() -> None:
    assert shapes.page() == shapes.PAGE.read_text()


def test_the_glossary_has_one_sorted_line_a_word() -> None:
    text = (REPOSITORY / "docs/glossary.md").read_text()
    words = re.findall(r"^\| ([a-z][^|]*) \|", text, re.MULTILINE)[1:]
    assert sorted(words) == words
    assert len(set(words)) == len(words)


def test_the_readme_names_only_commands_that_exist() -> None:
    from burstd.cli import burst

    known = {one.name or one.callback.__name__ for one in burst.app.registered_commands}  # type: ignore[union-attr]
    named = re.findall(r"^burst (\w+)", (REPOSITORY / "README.md").read_text(), re.MULTILINE)
    assert named
    assert set(named) <= known


def test_make_names_only_rooms_of_tests_that_exist() -> None:
    rooms = set(re.findall(r"tests/\w+", (REPOSITORY / "Makefile").read_text()))
    assert [] == [room for room in sorted(rooms) if not (REPOSITORY / room).is_dir()]


def test_the_program_and_the_wheel_have_one_version() -> None:
    from burstd import __version__

    assert f'\nversion = "{__version__}"\n' in (REPOSITORY / "pyproject.toml").read_text()


def test_nothing_that_is_built_is_kept_in_git() -> None:
    kept = subprocess.run(
        ["git", "ls-files", "build", ".venv", "dist"],
        cwd=REPOSITORY, check=True, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert "" == kept.stdout


def test_the_page_of_faults_names_the_points_at_which_burstd_is_killed() -> None:
    text = faults.PAGE.read_text()
    assert faults.between(text, "points", points.table()) == text
