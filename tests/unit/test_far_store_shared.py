"""A group's store: what one of its members has sent is there for all of them, for nobody else."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import blake3
import pytest

from burstd.far.errors import FarError
from burstd.far.store import Store
from tests.unit.stored import taken

GROUP, ALICE, BOB, EVE = 60010, 60011, 60012, 60013
CONTENT = b"mesh" * 1000
NAME = blake3.blake3(CONTENT).digest()

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becoming somebody else needs root")


@pytest.fixture
def root() -> Iterator[Path]:
    """As ``prepare`` of the Slurm target lays it out."""
    top = Path(tempfile.mkdtemp(prefix="burst-shared-"))
    top.chmod(0o755)
    (top / "stores").mkdir()
    (top / "stores").chmod(0o1777)
    shared = top / "stores" / "shared"
    shared.mkdir()
    os.chown(shared, -1, GROUP)
    shared.chmod(0o2770)
    yield top
    shutil.rmtree(top)


def as_user(user: int, group: int, work: Callable[[], object]) -> bool:
    """Whether it went without an error."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([group])
            os.setgid(user)
            os.setuid(user)
            os.umask(0o077)
            work()
        except BaseException:  # noqa: BLE001 - the parent sees the code
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


def leave(root: Path, *, dies: bool = False) -> None:
    store = Store.at(str(root), "b1", shared=True)
    store.add([(NAME, CONTENT)])
    if dies:
        os._exit(0)
    store.close()


def find(root: Path) -> None:
    store = Store.at(str(root), "b2", shared=True)
    assert store.has(NAME)
    assert CONTENT == taken(store, NAME)
    store.close()


@pytest.mark.parametrize("dies", [False, True])
def test_one_member_finds_and_mends_what_another_has_left(root: Path, dies: bool) -> None:
    assert as_user(ALICE, GROUP, lambda: leave(root, dies=dies))
    assert as_user(BOB, GROUP, lambda: find(root))
    files = [path for path in (root / "stores" / "shared").iterdir() if path.is_file()]
    assert {".pack", ".idx"} == {path.suffix for path in files}
    assert {(GROUP, 0o660)} == {(p.stat().st_gid, stat.S_IMODE(p.stat().st_mode)) for p in files}


def test_members_sweep_it_together_and_have_one_table(root: Path) -> None:
    def sweep() -> None:
        store = Store.at(str(root), "b2", shared=True)
        assert 0 == store.sweep(0, 0)
        store.close()

    for _ in range(17):
        assert as_user(ALICE, GROUP, lambda: leave_other(root))
    shared = root / "stores" / "shared"
    assert 0o660 == stat.S_IMODE((shared / "all.table").stat().st_mode)
    for path in shared.iterdir():
        os.utime(path, (0, 0))
    assert as_user(BOB, GROUP, sweep)
    assert not list(shared.glob("*.pack"))


def leave_other(root: Path) -> None:
    content = os.urandom(500)
    store = Store.at(str(root), "b1", shared=True)
    store.add([(blake3.blake3(content).digest(), content)])
    store.close()


def test_nobody_else_finds_anything(root: Path) -> None:
    assert as_user(ALICE, GROUP, lambda: leave(root))
    assert not as_user(EVE, EVE, lambda: find(root))

    def told() -> None:
        with pytest.raises(FarError, match="broken: the shared store can't be opened"):
            Store.at(str(root), "b1", shared=True)

    assert as_user(EVE, EVE, told)  # who knows for how long


@pytest.mark.parametrize("wrong", ["none", "mode", "others", "owner"])
def test_one_that_somebody_else_has_made_is_not_believed(root: Path, wrong: str) -> None:
    shared = root / "stores" / "shared"
    if wrong == "none":
        shared.rmdir()
    elif wrong == "owner":
        os.chown(shared, EVE, -1)
        shared.chmod(0o2770)
    else:
        shared.chmod(0o770 if wrong == "mode" else 0o2777)
    with pytest.raises(FarError, match="shared store"):
        Store.at(str(root), "b1", shared=True)


def test_nothing_is_copied_there_that_is_not_looked_at_again(root: Path) -> None:
    store = Store.at(str(root), "b1", shared=True)
    models = store.models()
    assert not models.usable
    models.close()
    store.close()


def test_what_a_killed_conversation_had_begun_goes_with_age(root: Path) -> None:
    store = Store.at(str(root), "b1", shared=True)
    for name, age in (("new.old", 0), ("new.young", 2**40)):
        path = root / "stores" / "shared" / name
        path.write_bytes(b"x")
        os.utime(path, (age, age))
    store.sweep(10**9, 30)
    store.close()
    assert ["new.young"] == [p.name for p in (root / "stores" / "shared").glob("new.*")]


def test_one_that_was_killed_early_keeps_nobody_out(root: Path) -> None:
    def killed() -> None:
        os.fchmod = lambda _fd, _mode: os._exit(0)  # type: ignore[assignment]
        leave(root)

    assert as_user(ALICE, GROUP, killed)
    assert as_user(BOB, GROUP, lambda: leave(root))
    (pack,) = (root / "stores" / "shared").glob("*.pack")
    pack.chmod(0o600)  # or whatever a member does with his own
    pack.with_suffix(".idx").unlink()
    assert as_user(ALICE, GROUP, lambda: Store.at(str(root), "b3", shared=True).close())
