"""What lies below a directory, and where paths lead."""

from __future__ import annotations

import contextlib
import os
import resource
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from burstd.agent.facts import unreadable
from burstd.agent.walk import Look, Real, directories_of, files_below, of_the_system
from tests.unit.test_far_store_shared import BOB, as_user


def below(top: Path, links: bool = True) -> list[str]:
    found = files_below(Look(), str(top), links)
    return sorted(os.path.relpath(seen.path, top) for seen in found)


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


def test_what_is_seen_is_what_the_system_says(tree: Path) -> None:
    (tree / "mesh").chmod(0o2750)
    (tree / os.fsdecode(b"n\xe4me\n with blanks")).write_bytes(b"1234")
    os.utime(tree / "run.sh", ns=(1, -1_500_000_001))
    found = {seen.path: seen for seen in Look().within(str(tree))}
    assert set(found) == set(map(str, tree.iterdir()))
    for path, seen in found.items():
        fact = Path(path).lstat()
        facts = fact.st_mode, fact.st_size, fact.st_mtime_ns, fact.st_ino
        assert (path, *facts) == seen
        assert seen.is_link == Path(path).is_symlink()


def test_each_directory_is_looked_at_once(tree: Path) -> None:
    look = Look()
    before = list(files_below(look, str(tree)))
    (tree / "mesh" / "new").touch()
    assert before == list(files_below(look, str(tree)))
    assert len(before) + 2 == len(list(files_below(Look(), str(tree))))  # and by the link


def test_at_the_top_there_is_one_slash() -> None:
    assert set(map(str, Path("/").iterdir())) == {seen.path for seen in Look().within("/")}


@pytest.mark.parametrize("length", [1, 250])
def test_of_many_all_are_seen_before_and_after_one_with_few(tmp_path: Path, length: int) -> None:
    many, few = tmp_path / "many", tmp_path / "few"
    names = [f"{number:x<{length}}" for number in range(3000)]
    for name in names:
        (many / name).mkdir(parents=True)
    few.mkdir()
    (few / "one").touch()
    (few / "none").mkdir()
    look = Look()
    there: dict[Path, list[str]] = {few: ["one", "none"], many: names, few / "none": []}
    for directory, expected in {**there, tmp_path: ["many", "few"]}.items():
        paths = [str(directory / name) for name in expected]
        assert sorted(paths) == sorted(one.path for one in look.within(str(directory)))


def test_trouble_with_a_directory_is_not_taken_for_an_empty_one(tree: Path) -> None:
    Look().within("/")  # the native part is loaded before
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(OSError, match="Too many open files") as caught:
            list(files_below(Look(), str(tree)))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert str(tree) == caught.value.filename


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming somebody else needs root")
def test_what_may_not_be_listed_has_nothing_and_what_may_not_be_looked_at_is_trouble() -> None:
    def looks() -> None:
        look = Look()
        assert len(look.within(top)) == 3
        assert [] == list(files_below(look, f"{top}/closed"))
        with pytest.raises(PermissionError) as caught:
            list(files_below(look, f"{top}/names"))
        assert f"{top}/names/file" == caught.value.filename
        paths = [f"{top}/{name}" for name in ("none", "open", "closed", "no")]
        assert paths[2] == unreadable(paths)

    with tempfile.TemporaryDirectory(prefix="burst-walk-") as top:  # pytest's are for root alone
        for name, mode in (("closed", 0o700), ("names", 0o744)):
            (Path(top) / name).mkdir()
            (Path(top) / name / "file").touch()
            (Path(top) / name).chmod(mode)
        (Path(top) / "open").touch(0o644)
        Path(top).chmod(0o755)
        assert as_user(BOB, BOB, looks)


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
