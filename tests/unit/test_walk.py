"""What lies below a directory, and where paths lead."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from burstd.agent.walk import Real, directories_of, files_below, of_the_system


def below(top: Path, links: bool = True) -> list[str]:
    return sorted(os.path.relpath(entry.path, top) for entry in files_below(str(top), links))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files in directories, links to files, to directories, to nothing, to those above."""
    top = tmp_path / "job"
    for name in ("run.sh", "mesh/a.k", "mesh/parts/b.k"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(name)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "c.k").write_text("c")
    (tmp_path / "shared" / "back").symlink_to(top)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "e.k").write_text("e")
    (tmp_path / "shared" / "on").symlink_to(tmp_path / "other")
    (tmp_path / "other" / "round").symlink_to(tmp_path / "shared")
    for name, target in {
        "d.k": "../shared/c.k", "lib": "../shared", "again": "mesh", "gone": "nowhere",
        "mesh/up": "..", "mesh/self": "self", "usr": "/usr",
    }.items():  # fmt: skip
        (top / name).symlink_to(target)
    return top


def test_all_files_are_found_also_where_links_lead(tree: Path) -> None:
    meshes = [f"{way}/{name}" for way in ("again", "mesh") for name in ("a.k", "parts/b.k", "self")]
    assert sorted([*meshes, "d.k", "gone", "lib/c.k", "lib/on/e.k", "run.sh"]) == below(tree)


def test_or_not(tree: Path) -> None:
    expected = {
        os.path.relpath(os.path.join(directory, name), tree)  # noqa: PTH118 - as os.walk has them
        for directory, _, names in os.walk(tree)
        for name in names
    }
    assert sorted(expected) == below(tree, links=False)


def test_what_is_no_directory_has_nothing_below(tree: Path) -> None:
    assert [] == below(tree / "run.sh") == below(tree / "nowhere")


NAMES = st.sampled_from(["a", "b", "c"])
TARGETS = st.lists(st.sampled_from(["a", "b", "c", "..", "."]), min_size=1, max_size=4)


@settings(
    deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.lists(NAMES, min_size=1, max_size=3), TARGETS), max_size=6))
def test_where_paths_lead_is_what_the_system_says(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[list[str], list[str]]]
) -> None:
    top = tmp_path_factory.mktemp("real")
    for place, target in made:
        link = top.joinpath(*place)
        with contextlib.suppress(OSError):  # something is there, or it leads nowhere
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to("/".join(target))
    for one in "abc":
        for two in "abc":
            with contextlib.suppress(OSError):
                (top / one / two).mkdir(parents=True)
            with contextlib.suppress(OSError):
                (top / one / two / "file").touch()
    real = Real()
    for one in "abc":
        for two in "abc":
            for three in ("a", "b", "c", "file"):
                path = f"{top}/{one}/{two}/{three}"
                if Path(path).exists():  # what turns in a circle is no input
                    assert os.path.realpath(path) == real.path(path)
    assert "/etc" == real.path("/etc")


def test_the_directories_of_paths() -> None:
    paths = ["/a/b/c", "/a/b/d", "/e", "/a/x/y/z"]
    expected = {str(above) for path in paths for above in Path(path).parents}
    assert expected == directories_of(paths)


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/usr/bin/env", True), ("/usr", True), ("/home/usr/x", False), ("/usr2/x", False)],
)
def test_programs_of_the_system(path: str, expected: bool) -> None:
    assert expected == of_the_system(path)
