"""Results land whole or not at all, never through a link, never over what the user changed."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import blake3
import pytest

from burstd.agent.inputs import marks
from burstd.agent.landing import Damaged, Landing
from burstd.agent.walk import Look
from burstd.domain.data import Mark, OutputFile

MTIME = 1_700_000_000_123_456_789
Land = Callable[..., Landing]


def entry(path: Path | str, content: bytes = b"result", mode: int = 0o640) -> OutputFile:
    digest = blake3.blake3(content).hexdigest()
    return OutputFile(str(path), "file", len(content), digest, MTIME, mode)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The job's directory."""
    (tmp_path / "job").mkdir()
    return tmp_path / "job"


@pytest.fixture
def land(home: Path) -> Land:
    """Land one entry with these bytes, into a world that was marked at stage-in."""
    known: dict[str, Mark] = {}

    def one(
        what: OutputFile, content: bytes = b"result", meanwhile: Callable[[], object] = lambda: None
    ) -> Landing:
        def fetch(_entry: OutputFile, descriptor: int, _similar: int | None) -> None:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, content, 0)
            meanwhile()

        landing = Landing("b1", (home,), known, fetch)
        landing.land(what)
        return landing

    one.known = known  # type: ignore[attr-defined]
    return one


def remember(land: Land, home: Path) -> None:
    """What stage-in notes down."""
    land.known.update(marks(Look(), [home]))  # type: ignore[attr-defined]


def tree(home: Path) -> dict[str, bytes]:
    return {str(p.relative_to(home)): p.read_bytes() for p in home.rglob("*") if p.is_file()}


def test_a_result_lands_with_its_mode_and_time_in_directories_made_for_it(
    land: Land, home: Path
) -> None:
    land(entry(home / "a/b/out.frd", mode=0o6755))
    seen = (home / "a/b/out.frd").stat()

    assert {"a/b/out.frd": b"result"} == tree(home)
    assert (0o755, MTIME) == (stat.S_IMODE(seen.st_mode), seen.st_mtime_ns)


def test_a_result_that_its_owner_may_not_read_lands_all_the_same() -> None:
    """Its digest is taken before it gets its mode. Root may read anything: somebody else tries."""
    if os.geteuid() != 0:
        pytest.skip("becoming somebody else needs root")
    home = Path(tempfile.mkdtemp())
    home.chmod(0o777)

    def fetch(_entry: OutputFile, descriptor: int, _similar: int | None) -> None:
        os.pwrite(descriptor, b"result", 0)

    pid = os.fork()
    if pid == 0:
        try:
            os.setuid(65534)
            Landing("b1", (home,), {}, fetch).land(entry(home / "out.frd", mode=0o200))
        except BaseException:  # noqa: BLE001 - the parent sees the code
            os._exit(1)
        os._exit(0)
    assert 0 == os.waitpid(pid, 0)[1]
    assert 0o200 == stat.S_IMODE((home / "out.frd").stat().st_mode)
    shutil.rmtree(home)


def test_an_interrupted_landing_leaves_no_second_name_behind(land: Land, home: Path) -> None:
    land(entry(home / "out.frd"))
    name = hashlib.sha256(b"out.frd").hexdigest()[:16]
    os.link(home / "out.frd", home / f".burst-b1-{name}")  # it was killed just before the unlink
    land(entry(home / "out.frd"))

    assert {"out.frd": b"result"} == tree(home)


def test_an_input_that_nobody_changed_is_replaced_by_its_result(land: Land, home: Path) -> None:
    (home / "restart.rin").write_bytes(b"before")
    remember(land, home)
    landing = land(entry(home / "restart.rin"))

    assert ({"restart.rin": b"result"}, []) == (tree(home), landing.notes)


@pytest.mark.parametrize("known", [True, False], ids=["changed", "new"])
def test_what_the_user_wrote_meanwhile_stays_and_the_result_lies_beside_it(
    land: Land, home: Path, known: bool
) -> None:
    if known:
        (home / "out.frd").write_bytes(b"before")
        remember(land, home)
    (home / "out.frd").write_bytes(b"the user's own words")
    landing = land(entry(home / "out.frd"))

    assert {"out.frd": b"the user's own words", "out.frd.burst-b1": b"result"} == tree(home)
    assert [f"{home}/out.frd was changed on-prem while the job ran: its result is in "
            "out.frd.burst-b1"] == landing.notes  # fmt: skip


def test_a_name_that_appears_in_the_last_moment_is_the_users(land: Land, home: Path) -> None:
    land(entry(home / "out.frd"), meanwhile=lambda: (home / "out.frd").write_bytes(b"mine"))

    assert {"out.frd": b"mine", "out.frd.burst-b1": b"result"} == tree(home)


def test_what_landed_already_is_left_in_place(land: Land, home: Path) -> None:
    land(entry(home / "out.frd"))
    inode = (home / "out.frd").stat().st_ino
    landing = land(entry(home / "out.frd"), b"would be damaged")

    assert (inode, []) == ((home / "out.frd").stat().st_ino, landing.notes)


def test_what_an_interrupted_landing_left_is_where_the_next_one_begins(
    land: Land, home: Path
) -> None:
    def dies() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        land(entry(home / "out.frd"), b"res", meanwhile=dies)
    assert [b"res"] == list(tree(home).values())
    begun: list[bytes] = []

    def fetch(_entry: OutputFile, descriptor: int, _similar: int | None) -> None:
        begun.append(os.pread(descriptor, 10, 0))
        os.pwrite(descriptor, b"ult", 3)

    Landing("b1", (home,), {}, fetch).land(entry(home / "out.frd"))
    assert ([b"res"], {"out.frd": b"result"}) == (begun, tree(home))


def test_what_an_interrupted_landing_left_goes_where_the_result_is_there(
    land: Land, home: Path
) -> None:
    name = hashlib.sha256(b"out.frd").hexdigest()[:16]
    (home / f".burst-b1-{name}").write_bytes(b"half")
    (home / "out.frd").write_bytes(b"result")
    land(entry(home / "out.frd"))

    assert {"out.frd": b"result"} == tree(home)


def test_a_result_that_was_a_directory_on_prem_lies_beside_it(land: Land, home: Path) -> None:
    (home / "out.frd").mkdir()
    before = len([*Path("/proc/self/fd").iterdir()])
    landing = land(entry(home / "out.frd"))

    assert {"out.frd.burst-b1": b"result"} == tree(home)
    assert (1, before) == (len(landing.notes), len([*Path("/proc/self/fd").iterdir()]))


@pytest.mark.parametrize("below", [200, 201])
def test_nothing_lands_deeper_than_its_user_can_reach(land: Land, home: Path, below: int) -> None:
    landing = land(entry(home.joinpath(*"d" * (below - 1), "out.frd")))
    assert (below == 201) == bool(landing.notes)
    assert (below == 201) != bool(tree(home))


def test_what_arrives_damaged_can_be_put_beside_its_place(home: Path) -> None:
    def fetch(_entry: OutputFile, descriptor: int, _similar: int | None) -> None:
        os.pwrite(descriptor, b"Result", 0)

    landing = Landing("b1", (home,), {}, fetch)
    landing.aside(entry(home / "out.frd"))
    assert {"out.frd.burst-b1.damaged": b"Result"} == tree(home)
    assert "is not what the far end's record says" in landing.notes[0]


@pytest.mark.parametrize("content", [b"", b"resul", b"Result", b"result and more"])
def test_damaged_bytes_leave_nothing_behind(land: Land, home: Path, content: bytes) -> None:
    with pytest.raises(Damaged):
        land(entry(home / "out.frd"), content)

    assert {} == tree(home)


HOSTILE = [
    "../outside.txt", "a/../../outside.txt", "/etc/outside.txt", "out\0side", "relative.txt",
    "", ".", "~/x", "x" * 300,
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=lambda n: n[:20].replace("\0", "NUL"))
def test_a_hostile_name_is_noted_and_written_nowhere(
    land: Land, home: Path, tmp_path: Path, name: str
) -> None:
    inside = name.startswith((".", "a/", "x", "out")) and not name.startswith("..")
    path = f"{home}/{name}" if inside or ".." in name else name
    landing = land(entry(path))

    assert 1 == len(landing.notes)
    assert [home] == sorted(tmp_path.rglob("*"))


@pytest.mark.parametrize(
    "name",
    [
        ".ssh/authorized_keys", ".bashrc", "a/.git/hooks/post-checkout",
        ".config/autostart/.profile", ".bash_aliases", ".vim/plugin/x.vim", ".Git/config", ".emacs",
    ],
)  # fmt: skip
def test_what_would_be_believed_has_other_names(land: Land, home: Path, name: str) -> None:
    landing = land(entry(home / name))

    assert 1 <= len(landing.notes)
    (found,) = tree(home)
    believed = {".ssh", ".bashrc", ".git", ".config", ".profile", ".bash_aliases", ".vim", ".emacs"}
    assert not believed & {part.lower() for part in Path(found).parts}
    assert name == found.replace(".burst-b1", "")


@pytest.mark.parametrize("kind", ["symlink", "fifo", "socket", "device", "?"])
def test_what_is_no_file_is_not_brought_back(land: Land, home: Path, kind: str) -> None:
    landing = land(OutputFile(str(home / "x"), kind))

    assert [f"{home}/x was not brought back: it is a {kind}"] == landing.notes
    assert {} == tree(home)


def link(home: Path, target: str, name: str = "latest") -> OutputFile:
    return OutputFile(str(home / name), "symlink", target=target)


def linking(home: Path) -> Landing:
    """A landing that may make links, of a directory as it is now."""
    known = marks(Look(), [home])
    return Landing("b1", (home,), known, lambda _entry, _into, _similar: None, links=True)


@pytest.mark.parametrize("target", ["run42", "a/b/c.dat", "./x", "...", "a b\n"])
def test_a_link_below_its_own_directory_comes_home(home: Path, target: str) -> None:
    landing = linking(home)
    for _ in range(2):
        landing.land(link(home, target))
    assert (Path(target), []) == ((home / "latest").readlink(), landing.notes)


@pytest.mark.parametrize(
    "target",
    ["", "/etc/passwd", "..", "../x", "a/../../x", "a/..", ".ssh/id", "a/.git/config", "x\0",
     "y" * 5000],
)  # fmt: skip
def test_a_link_that_may_lead_elsewhere_does_not(home: Path, target: str) -> None:
    landing = linking(home)
    landing.land(link(home, target))
    assert ([], 1) == (list(home.iterdir()), len(landing.notes))


def test_a_link_takes_the_place_of_nothing_but_an_older_one_that_nobody_changed(
    home: Path,
) -> None:
    for name in ("old", "changed", "file"):
        (home / name).symlink_to("run41")
    (home / "file").unlink()
    (home / "file").write_bytes(b"mine")
    landing = linking(home)
    (home / "changed").unlink()
    (home / "changed").symlink_to("elsewhere")
    (home / "file").write_bytes(b"mine, later")
    for name in ("old", "changed", "file"):
        landing.land(link(home, "run42", name))

    assert [Path("run42"), Path("elsewhere")] == [(home / n).readlink() for n in ("old", "changed")]
    assert b"mine, later" == (home / "file").read_bytes()
    assert 2 == len(landing.notes)
    assert 3 == len(list(home.iterdir()))


def test_no_component_is_followed_when_it_is_a_link(land: Land, home: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (home / "a").symlink_to(outside)
    (home / "b").write_bytes(b"a file")
    landing = land(entry(home / "a/x.txt"))
    landing.land(entry(home / "b/x.txt"))
    landing.land(OutputFile(str(home / "a"), "dir", mode=0o777))

    assert [] == list(outside.iterdir())
    assert {"b", "a.burst-b1/x.txt", "b.burst-b1/x.txt"} == set(tree(home))
    assert 2 == len(landing.notes)
    assert 0o777 != stat.S_IMODE(outside.stat().st_mode)


def test_a_link_in_the_results_place_is_neither_followed_nor_replaced(
    land: Land, home: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (home / "out.frd").symlink_to(victim)
    landing = land(entry(home / "out.frd"))

    assert (b"precious", True) == (victim.read_bytes(), (home / "out.frd").is_symlink())
    assert b"result" == (home / "out.frd.burst-b1").read_bytes()
    assert 1 == len(landing.notes)


def test_a_link_that_points_to_equal_bytes_is_no_landed_file(
    land: Land, home: Path, tmp_path: Path
) -> None:
    twin = tmp_path / "twin"
    twin.write_bytes(b"result")
    twin.chmod(0o600)
    (home / "out.frd").symlink_to(twin)
    land(entry(home / "out.frd", mode=0o777))

    assert 0o600 == stat.S_IMODE(twin.stat().st_mode)


def test_a_directory_turned_aside_while_we_write_takes_nothing_along(
    land: Land, home: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (home / "a").mkdir()

    def turn() -> None:
        (home / "a").rename(home / "moved")
        (home / "a").symlink_to(outside)

    land(entry(home / "a/out.frd"), meanwhile=turn)

    assert [] == list(outside.iterdir())
    assert b"result" == (home / "moved/out.frd").read_bytes()


def test_the_temporary_name_as_a_link_is_not_written_through(
    land: Land, home: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    name = hashlib.sha256(b"out.frd").hexdigest()[:16]
    (home / f".burst-b1-{name}").symlink_to(victim)
    land(entry(home / "out.frd"))

    assert (b"precious", b"result") == (victim.read_bytes(), (home / "out.frd").read_bytes())


@pytest.fixture
def small(home: Path) -> Iterator[Path]:
    """A job's directory of 64 KiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", home], check=True)
    yield home
    subprocess.run(["umount", "--lazy", home], check=True)


def test_a_full_disk_leaves_no_part_of_a_file_under_any_name(land: Land, small: Path) -> None:
    content = os.urandom(200_000)

    def fetch(_entry: OutputFile, descriptor: int, _similar: int | None) -> None:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(content)

    landing = Landing("b1", (small,), {}, fetch)
    with pytest.raises(OSError, match="No space left"):
        landing.land(entry(small / "out.frd", content))

    assert {} == tree(small)
