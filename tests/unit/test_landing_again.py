"""What landed once lands again, after a line that was cut or an agent that was killed, whatever
modes and owners it met; nothing of the user's goes, and nothing of the job's is left behind."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import blake3
import pytest

from burstd.agent.arrivals import ASIDE, Arrivals, in_order
from burstd.agent.facts import Stamp
from burstd.agent.inputs import marks
from burstd.agent.landing import Landing
from burstd.agent.walk import Look
from burstd.domain.data import Mark, OutputFile
from burstd.ports.errors import Mismatch, Rejected
from tests.unit.test_far_store_shared import as_user

NOBODY = 65534
MTIME = 10**18
RESULT = b"result"


def entry(path: Path, content: bytes = RESULT, mode: int = 0o640) -> OutputFile:
    digest = blake3.blake3(content).hexdigest()
    return OutputFile(str(path), "file", len(content), digest, MTIME, mode)


def directory(path: Path, mode: int) -> OutputFile:
    return OutputFile(str(path), "dir", mode=mode)


def fetch(_entry: OutputFile, into: int, _similar: int | None) -> None:
    os.ftruncate(into, 0)
    os.pwrite(into, RESULT, 0)


def tree(home: Path) -> dict[str, bytes]:
    return {str(p.relative_to(home)): p.read_bytes() for p in home.rglob("*") if p.is_file()}


@pytest.fixture
def common() -> Iterator[Path]:
    """A directory that everybody may write to, on the way to which nobody is kept out."""
    if os.geteuid() != 0:
        pytest.skip("becoming somebody else needs root")
    home = Path(tempfile.mkdtemp())
    home.chmod(0o777)
    yield home
    shutil.rmtree(home)


def lands_twice(home: Path, entries: Sequence[OutputFile]) -> bool:
    def work() -> None:
        for _ in range(2):
            Arrivals(Landing("b1", (home,), {}, fetch), {}).land(in_order(entries))

    return as_user(NOBODY, NOBODY, work)


@pytest.mark.parametrize("mode", [0o200, 0o000, 0o400])
def test_a_result_that_its_owner_may_not_read_lands_twice(common: Path, mode: int) -> None:
    assert lands_twice(common, [entry(common / "x.lock", mode=mode)])
    assert {"x.lock": RESULT} == tree(common)
    assert mode == stat.S_IMODE((common / "x.lock").stat().st_mode)


@pytest.mark.parametrize("mode", [0o300, 0o000, 0o500, 0o555])
def test_so_does_one_in_a_directory_of_the_jobs_that_hinders(common: Path, mode: int) -> None:
    found = [directory(common / "d", mode), directory(common / "d/e", mode)]
    assert lands_twice(common, [*found, entry(common / "d/e/f")])
    assert {"d/e/f": RESULT} == tree(common)
    assert [mode, mode] == [stat.S_IMODE((common / d).stat().st_mode) for d in ("d", "d/e")]
    # One more that an earlier landing has not brought.
    assert lands_twice(common, [*found, entry(common / "d/e/f"), entry(common / "d/e/g")])
    assert mode == stat.S_IMODE((common / "d/e").stat().st_mode)
    assert {"d/e/f", "d/e/g"} == set(tree(common))


def test_a_directory_of_the_users_is_not_unlocked(common: Path) -> None:
    (common / "d").mkdir()
    (common / "d").chmod(0o500)
    os.chown(common / "d", NOBODY, NOBODY)
    assert not lands_twice(common, [entry(common / "d/f"), entry(common / "g")])
    assert {"g": RESULT} == tree(common)
    assert 0o500 == stat.S_IMODE((common / "d").stat().st_mode)


@pytest.mark.parametrize("mode", [0o666, 0o644])
def test_a_colleagues_file_that_is_the_result_keeps_its_mode(common: Path, mode: int) -> None:
    (common / "log").write_bytes(RESULT)
    (common / "log").chmod(mode)
    assert lands_twice(common, [entry(common / "log")])
    assert ({"log": RESULT}, mode) == (tree(common), stat.S_IMODE((common / "log").stat().st_mode))


def test_beside_one_that_may_not_be_read_lies_the_result(common: Path) -> None:
    (common / "log").write_bytes(b"secret")
    (common / "log").chmod(0o600)
    assert lands_twice(common, [entry(common / "log")])
    assert {"log": b"secret", "log.burst-b1": RESULT} == tree(common)


def test_a_directory_of_somebody_elses_keeps_its_mode(common: Path) -> None:
    (common / "d").mkdir()
    (common / "d").chmod(0o777)
    assert lands_twice(common, [directory(common / "d", 0o700)])
    assert 0o777 == stat.S_IMODE((common / "d").stat().st_mode)


def test_a_directory_keeps_the_group_of_the_one_above(tmp_path: Path) -> None:
    tmp_path.chmod(0o2755)
    Landing("b1", (tmp_path,), {}, fetch).land(directory(tmp_path / "d", 0o750))
    assert 0o2750 == stat.S_IMODE((tmp_path / "d").stat().st_mode)


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o1770])
@pytest.mark.parametrize("said", [0o777, 0o755])
def test_a_directory_that_the_user_has_closed_to_others_stays_so(
    tmp_path: Path, mode: int, said: int
) -> None:
    """It may have the name of one of the job's."""
    place = tmp_path / "d"
    place.mkdir()
    place.chmod(mode)
    Arrivals(Landing("b1", (tmp_path,), {}, fetch), {}).land(
        [entry(place / "f"), directory(place, said)]
    )
    assert ({"d/f": RESULT}, mode) == (tree(tmp_path), stat.S_IMODE(place.stat().st_mode))


@pytest.mark.parametrize(("said", "then"), [(0o777, 0o755), (0o700, 0o700), (0o500, 0o700)])
def test_one_that_was_made_before_a_cut_is_opened_to_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: int, then: int
) -> None:
    """It looks as one that the user has just made. Others land beside it, and need their umask."""
    monkeypatch.delattr(os, "umask")
    place = tmp_path / "d"
    place.mkdir(mode=0o755)
    Landing("b1", (tmp_path,), {}, fetch).land(directory(place, said))
    assert then == stat.S_IMODE(place.stat().st_mode)


def test_one_that_the_landing_makes_is_as_the_jobs(tmp_path: Path) -> None:
    found = [entry(tmp_path / "d/e/f"), directory(tmp_path / "d/e", 0o770)]
    for _ in range(2):
        Arrivals(Landing("b1", (tmp_path,), {}, fetch), {}).land(found)
        assert 0o770 == stat.S_IMODE((tmp_path / "d/e").stat().st_mode)


# --- what the user does meanwhile


@pytest.mark.parametrize("what", ["edited", "replaced"])
def test_what_the_user_writes_while_a_result_is_fetched_stays(tmp_path: Path, what: str) -> None:
    """Bytes may take hours to come."""
    place = tmp_path / "beam.inp"
    place.write_bytes(b"before")

    def slowly(one: OutputFile, into: int, similar: int | None) -> None:
        fetch(one, into, similar)
        if what == "replaced":
            place.unlink()
        place.write_bytes(b"the user's own words")

    landing = Landing("b1", (tmp_path,), marks(Look(), [tmp_path]), slowly)
    landing.land(entry(place))
    assert {"beam.inp": b"the user's own words", "beam.inp.burst-b1": RESULT} == tree(tmp_path)
    assert 1 == len(landing.notes)


def test_what_the_user_removes_meanwhile_is_the_result_then(tmp_path: Path) -> None:
    place = tmp_path / "beam.inp"
    place.write_bytes(b"before")

    def slowly(one: OutputFile, into: int, similar: int | None) -> None:
        fetch(one, into, similar)
        place.unlink()

    Landing("b1", (tmp_path,), marks(Look(), [tmp_path]), slowly).land(entry(place))
    assert {"beam.inp": RESULT} == tree(tmp_path)


def test_a_file_that_this_process_writes_to_is_never_replaced(tmp_path: Path) -> None:
    """The job's own output: it would go on into a file without a name."""
    out = tmp_path / "slurm-7.out"
    out.touch()
    known, seen = marks(Look(), [tmp_path]), out.stat()
    written = frozenset({(seen.st_dev, seen.st_ino)})
    landing = Landing("b1", (tmp_path,), known, fetch, written=written)
    landing.land(entry(out))
    landing.discard([str(out)])
    assert {"slurm-7.out": b"", "slurm-7.out.burst-b1": RESULT} == tree(tmp_path)
    assert seen.st_ino == out.stat().st_ino


# --- beside its place


def test_results_beside_their_places_have_names_of_their_own(tmp_path: Path) -> None:
    names = ["x" * 250 + letter for letter in "ab"]
    for name in names:
        (tmp_path / name).write_bytes(b"mine")
    landing = Landing("b1", (tmp_path,), {}, fetch)
    for name in names:
        landing.land(entry(tmp_path / name))
    found = sorted(tree(tmp_path).values())
    assert [b"mine", b"mine", RESULT, RESULT] == found


def test_one_that_lies_beside_is_not_fetched_again_and_what_became_of_it_stays(
    tmp_path: Path,
) -> None:
    place, copy = tmp_path / "out.frd", tmp_path / "out.frd.burst-b1"
    place.write_bytes(b"mine")
    fetched = list[str]()

    def counted(one: OutputFile, into: int, similar: int | None) -> None:
        fetched.append(one.path)
        fetch(one, into, similar)

    notes = []
    for _ in range(2):
        landing = Landing("b1", (tmp_path,), {}, counted)
        landing.land(entry(place))
        notes.append(landing.notes)
    assert (1, notes[0]) == (len(fetched), notes[1])
    copy.write_bytes(b"edited")
    Landing("b1", (tmp_path,), {}, counted).land(entry(place))
    assert {
        "out.frd": b"mine", "out.frd.burst-b1": b"edited", "out.frd.burst-b1.2": RESULT
    } == tree(tmp_path)  # fmt: skip


@pytest.mark.parametrize("name", ["results/deep/new.dat", ".git/hooks/x", "file/new.dat"])
def test_what_may_not_lie_in_its_place_lies_beside_it(tmp_path: Path, name: str) -> None:
    """A link to a scratch directory, a file that the job has replaced by a directory."""
    home, scratch = tmp_path / "job", tmp_path / "scratch"
    home.mkdir()
    scratch.mkdir()
    (home / "results").symlink_to(scratch)
    (home / "file").write_bytes(b"mine")
    landing = Landing("b1", (home,), {}, fetch)
    top, _, rest = name.partition("/")
    Arrivals(landing, {}).land([entry(home / name), entry(home / f"{name}2")])
    assert RESULT == (home / f"{top}.burst-b1" / rest).read_bytes()
    assert 1 == len(landing.notes)
    assert f"is in {top}.burst-b1" in landing.notes[0]
    assert [] == list(scratch.iterdir())


def test_a_large_one_that_is_there_is_not_read_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind it a disk is full: that is tried again and again."""
    monkeypatch.setattr("burstd.agent.landing.LARGE", len(RESULT))
    found, kept = entry(tmp_path / "a.frd"), dict[str, list[object]]()
    Landing("b1", (tmp_path,), {}, fetch, landed=kept).land(found)
    kept = json.loads(json.dumps(kept))
    with monkeypatch.context() as patch:
        patch.setattr("burstd.agent.placing.landed", lambda *_: pytest.fail("it was read"))
        Landing("b1", (tmp_path,), {}, fetch, landed=kept).land(found)
    (tmp_path / "a.frd").write_bytes(b"edited")
    Landing("b1", (tmp_path,), {}, fetch, landed=kept).land(found)
    assert {"a.frd": b"edited", "a.frd.burst-b1": RESULT} == tree(tmp_path)


# --- one alone


def test_one_that_is_refused_keeps_no_other_back(tmp_path: Path) -> None:
    def refusing(one: OutputFile, into: int, similar: int | None) -> None:
        if one.path.endswith("b"):
            raise Rejected("the far end says refused: not a plain file")
        fetch(one, into, similar)

    names = "abc"
    arrivals = Arrivals(Landing("b1", (tmp_path,), {}, refusing), {})
    with pytest.raises(Rejected, match="/b does not come: the far end says refused"):
        arrivals.land([entry(tmp_path / name) for name in names])
    assert {"a": RESULT, "c": RESULT} == tree(tmp_path)


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG])
def test_one_whose_name_the_file_system_refuses_keeps_no_other_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """A colon on CIFS, bytes that are no UTF-8 on ZFS."""
    looked = os.stat

    def refusing(name: Any, **how: Any) -> os.stat_result:
        if name == "a:b":
            raise OSError(code, os.strerror(code))
        return looked(name, **how)

    monkeypatch.setattr(os, "stat", refusing)
    found = [entry(tmp_path / name) for name in ("a:b", "c", "d")]
    with pytest.raises(Rejected, match="a:b cannot be written here"):
        Arrivals(Landing("b1", (tmp_path,), {}, fetch), {}).land(in_order(found))
    assert {"c": RESULT, "d": RESULT} == tree(tmp_path)


def test_one_that_is_larger_than_files_may_be_keeps_no_other_back(common: Path) -> None:
    """Slurm hands the limits of whoever submits a job on to it."""

    def get(one: OutputFile, into: int, _similar: int | None) -> None:
        content = RESULT if one.size == len(RESULT) else bytes(one.size)
        while (at := os.fstat(into).st_size) < one.size:
            os.pwrite(into, content[at:], at)

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        found = [entry(common / "a", bytes(9999)), entry(common / "b")]
        with pytest.raises(Rejected, match="a cannot be written here: File too large"):
            Arrivals(Landing("b1", (common,), {}, get), {}).land(in_order(found))

    assert as_user(NOBODY, NOBODY, work)
    assert {"b": RESULT} == tree(common)


def test_one_that_is_gone_at_the_far_end_is_told_in_the_end(tmp_path: Path) -> None:
    def gone(one: OutputFile, into: int, similar: int | None) -> None:
        if one.path.endswith("b"):
            raise Mismatch(f"{one.path} is gone at the far end")
        fetch(one, into, similar)

    damaged = dict[str, int]()
    for _ in range(ASIDE):
        landing = Landing("b1", (tmp_path,), {}, gone)
        Arrivals(landing, damaged).land([entry(tmp_path / name) for name in "abc"])
    assert {"a": RESULT, "c": RESULT} == tree(tmp_path)
    assert [f"{tmp_path}/b was not brought back: {tmp_path}/b is gone at the far end"] == (
        landing.notes
    )


def test_a_name_that_is_no_text_keeps_no_other_back(tmp_path: Path) -> None:
    landing = Landing("b1", (tmp_path,), {}, fetch)
    Arrivals(landing, {}).land([entry(tmp_path / "a\ud800"), entry(tmp_path / "b")])
    assert {"b": RESULT} == tree(tmp_path)
    assert 1 == len(landing.notes)


# --- file systems


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_args: Any, **_words: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)


@pytest.mark.usefixtures("no_links")
def test_where_there_are_no_hard_links_results_land(tmp_path: Path) -> None:
    landing = Landing("b1", (tmp_path,), {}, fetch)
    landing.land(entry(tmp_path / "new"))
    (tmp_path / "old").write_bytes(b"mine")
    landing.land(entry(tmp_path / "old"))
    assert {"new": RESULT, "old": b"mine", "old.burst-b1": RESULT} == tree(tmp_path)


def test_a_link_that_was_made_though_its_answer_was_lost_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS asks again, and hears that there is one."""
    really: Callable[..., None] = os.link

    def link(*args: Any, **words: Any) -> None:
        really(*args, **words)
        raise FileExistsError(errno.EEXIST, "File exists")

    monkeypatch.setattr(os, "link", link)
    landing = Landing("b1", (tmp_path,), {}, fetch)
    landing.land(entry(tmp_path / "new"))
    assert ({"new": RESULT}, []) == (tree(tmp_path), landing.notes)


@pytest.mark.parametrize("inode", [2**63, 2**64 - 1, 2**63 - 1, 5])
def test_large_inode_numbers_are_the_same_in_c_and_here(inode: int) -> None:
    fact: Any = SimpleNamespace(st_size=7, st_mtime_ns=1, st_ctime_ns=1, st_ino=inode)
    assert Mark.of(fact).inode == Stamp.of(fact).inode
    assert Mark.of(fact).inode == inode - 2**64 * (inode >= 2**63)
