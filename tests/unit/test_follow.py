"""What grows while the job runs is copied where the user looks for it, and nowhere else."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from burstd.agent.api import Away
from burstd.agent.follow import Follower
from burstd.agent.inputs import marks
from burstd.agent.memory import DIRECTORY, Memory, Recalled, recall
from burstd.agent.walk import Look
from burstd.domain.data import InputFile, Mark, OutputFile
from burstd.ports.depot import Came, Ended, Execution, Going, Growing, Seen
from burstd.ports.errors import PortError, Rejected, Transient, Unreachable


@dataclass
class Far:
    """``Depot`` of a job that runs: streams and files as bytes."""

    files: dict[str, bytes] = field(default_factory=dict)
    compared: list[str] = field(default_factory=list)
    changed: dict[str, int] = field(default_factory=dict)
    asked: int = 0  #: times that bytes were

    def growing(self) -> Growing:
        sizes = {name: len(content) for name, content in self.files.items()}
        live = {name: size for name, size in sizes.items() if name.startswith("/")}
        out, err = sizes.get("stdout", 0), sizes.get("stderr", 0)
        return Growing(out, err, live, changed=self.changed)

    def read(self, what: str, offset: int, length: int) -> bytes:
        self.asked += 1
        return self.files[what][offset : offset + length]

    def begins_with(self, path: str, mine: int) -> bool:
        self.compared.append(path)
        return self.files[path].startswith(os.pread(mine, os.fstat(mine).st_size, 0))

    def push(self, paths: Iterable[str], going: Going) -> Sequence[InputFile]:
        return []

    def order(self, execution: Execution, files: Sequence[InputFile], script: bytes) -> None: ...

    def outputs(self, secret: str) -> Ended:
        return Ended()

    def matching(self, patterns: Sequence[str]) -> Sequence[Seen]:
        return []

    def expect(self, entries: Sequence[OutputFile]) -> None: ...

    def fetch(self, entry: OutputFile, into: int, came: Came, similar: int | None) -> None: ...

    def close(self) -> None: ...


@contextmanager
def stdout_to(path: Path) -> Iterator[None]:
    kept = os.dup(1)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(descriptor)
        os.close(kept)


@pytest.fixture
def far() -> Far:
    return Far()


ROOT = Path("/")  #: every test has a directory of its own


def recalled(directory: Path) -> Memory:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(DIRECTORY, str(directory))
        return recall()


def follower(far: Far, known: dict[str, Mark] | None = None) -> Follower:
    return Follower(far, {}, known or {}, {}, (ROOT,))


def test_a_stream_is_appended_once_across_any_number_of_looks(far: Far, tmp_path: Path) -> None:
    one = follower(far)
    with stdout_to(tmp_path / "out"):
        for text in (b"a", b"abc", b"abc", b"abcdef"):
            far.files["stdout"] = text
            one.once()

    assert b"abcdef" == (tmp_path / "out").read_bytes()
    assert {"stdout": 6} == dict(one.positions)


def test_a_restarted_agent_goes_on_where_it_was(far: Far, tmp_path: Path) -> None:
    far.files["stdout"] = b"abcdef"
    with stdout_to(tmp_path / "out"):
        Follower(far, {"stdout": 3}, {}, {}, ()).once()

    assert b"def" == (tmp_path / "out").read_bytes()


def test_a_live_file_grows_as_its_twin_does(far: Far, tmp_path: Path) -> None:
    path, one = str(tmp_path / "beam.sta"), follower(far)
    for text in (b"1\n", b"1\n2\n", b"1\n2\n"):
        far.files[path] = text
        one.once()
        assert text == Path(path).read_bytes()

    assert {path} == set(one.copies)


@dataclass
class Broken(Far):
    """The first question for a live file's bytes is not answered well."""

    error: PortError | None = None

    def read(self, what: str, offset: int, length: int) -> bytes:
        error, self.error = self.error, None
        if error is None:
            return super().read(what, offset, length)
        if not isinstance(error, Transient):
            del self.files[what]
        raise error


def test_one_that_its_job_has_renamed_just_then_is_forgotten(tmp_path: Path) -> None:
    """A solver's last words: what is listed is gone before it is read."""
    path, far = str(tmp_path / "beam.sta"), Broken(error=Rejected("missing: no such file"))
    far.files[path] = b"1\n"
    far.files[f"{path}2"] = b"2\n"
    one = follower(far)
    one.once()
    one.once()
    assert b"2\n" == Path(f"{path}2").read_bytes()
    # Ours, so that the landing removes it.
    fact = Path(path).stat()
    assert one.copies[path] == Mark(0, fact.st_mtime_ns, fact.st_ino)


def test_one_of_which_a_part_came_before_a_cut_is_ours_and_goes_on(tmp_path: Path) -> None:
    path, far = str(tmp_path / "beam.sta"), Broken(error=Unreachable("cut"))
    far.files[path] = b"1\n2\n"
    one = follower(far)
    with pytest.raises(Unreachable):
        one.once()
    one.once()
    assert b"1\n2\n" == Path(path).read_bytes()


def test_a_rewritten_file_is_copied_anew(far: Far, tmp_path: Path) -> None:
    path, one = str(tmp_path / "beam.sta"), follower(far)
    for text in (b"first run\n", b"2\n"):
        far.files[path] = text
        one.once()

    assert b"2\n" == Path(path).read_bytes()


def test_an_older_runs_file_that_nobody_touched_is_replaced(far: Far, tmp_path: Path) -> None:
    path = tmp_path / "beam.sta"
    path.write_bytes(b"of an older run, and long")
    far.files[str(path)] = b"new\n"
    follower(far, marks(Look(), [tmp_path])).once()

    assert b"new\n" == path.read_bytes()


@pytest.mark.parametrize("late", [False, True], ids=["before", "meanwhile"])
def test_a_file_that_is_not_ours_is_left_alone(far: Far, tmp_path: Path, late: bool) -> None:
    path, one = tmp_path / "beam.sta", follower(far)
    if late:
        far.files[str(path)] = b"ours\n"
        one.once()
    path.write_bytes(b"the user's own words")
    far.files[str(path)] = b"ours and more\n"
    one.once()

    assert b"the user's own words" == path.read_bytes()


def test_a_copy_that_nobody_remembers_goes_on(far: Far, tmp_path: Path) -> None:
    """The agent was killed while it wrote, or the proxy node went away."""
    path = tmp_path / "beam.sta"
    path.write_bytes(b"1\n2\n")
    far.files[str(path)] = b"1\n2\n3\n"
    one = follower(far, {str(path): Mark(2, 1, 1)})
    one.once()
    far.files[str(path)] += b"4\n"
    one.once()

    assert b"1\n2\n3\n4\n" == path.read_bytes()
    assert [str(path)] == far.compared


@pytest.mark.parametrize("there", [b"1\n3\n", b"1\n2\n3\n4\n"], ids=["other", "longer"])
def test_one_that_is_no_copy_is_compared_once(far: Far, tmp_path: Path, there: bytes) -> None:
    path = tmp_path / "beam.sta"
    path.write_bytes(there)
    far.files[str(path)] = b"1\n2\n3\n"
    memory = Memory(tmp_path)

    def look() -> None:  # each is made by a process of its own
        nonlocal memory
        Follower(far, {}, {}, memory.copies, (ROOT,), strangers=memory.strangers).once()
        memory.save()
        memory = recalled(tmp_path)

    for _ in range(3):
        look()
    assert there == path.read_bytes()
    asked = int(len(there) < len(far.files[str(path)]))
    assert [str(path)] * asked == far.compared
    path.unlink()  # its user does not want it, or sees that it does not grow
    look()
    far.files[str(path)] += b"5\n"
    look()
    assert far.files[str(path)] == path.read_bytes()
    assert [str(path)] * asked == far.compared


def test_one_that_its_user_has_put_back_is_followed_again(far: Far, tmp_path: Path) -> None:
    path, one = tmp_path / "beam.sta", follower(far)
    path.write_bytes(b"mine")
    far.files[str(path)] = b"1\n2\n"
    one.once()
    path.write_bytes(b"1\n")
    one.once()
    assert b"1\n2\n" == path.read_bytes()


def test_an_input_that_its_job_leaves_as_it_is_is_not_even_touched(tmp_path: Path) -> None:
    path = tmp_path / "old.sta"
    path.write_bytes(b"of an older run\n")
    known, before = marks(Look(), [tmp_path]), path.stat()
    far = Broken({str(path): b"of an older run\n"}, error=Unreachable("cut"))
    far.changed[str(path)] = before.st_mtime_ns
    one = follower(far, known)
    one.once()
    one.once()
    after = path.stat()
    assert (before.st_mtime_ns, before.st_ctime_ns) == (after.st_mtime_ns, after.st_ctime_ns)
    far.files[str(path)] += b"and of this\n"
    with pytest.raises(Unreachable):
        one.once()
    assert b"of an older run\n" == path.read_bytes()
    one.once()
    assert b"of an older run\nand of this\n" == path.read_bytes()


def test_one_that_its_job_begins_anew_keeps_its_content_until_there_is_more(tmp_path: Path) -> None:
    path = tmp_path / "old.sta"
    path.write_bytes(b"of an older run\n")
    far = Broken({str(path): b"new\n"}, error=Unreachable("cut"))
    one = follower(far, marks(Look(), [tmp_path]))
    with pytest.raises(Unreachable):
        one.once()
    assert b"of an older run\n" == path.read_bytes()
    one.once()
    assert b"new\n" == path.read_bytes()
    far.files[str(path)] = b""
    one.once()
    assert b"" == path.read_bytes()


def test_a_directory_that_may_not_be_written_to_keeps_no_other_file_back(
    far: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def denied(path: Any, flags: int, *more: int, dir_fd: int | None = None) -> int:
        if path == "a.sta" and flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, flags, *more, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", denied)
    far.files = {f"{tmp_path}/a.sta": b"1\n", f"{tmp_path}/b.sta": b"2\n"}
    follower(far).once()
    assert {"b.sta"} == {one.name for one in tmp_path.iterdir()}


def test_one_that_changes_while_it_is_compared_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "beam.sta"

    class Slow(Far):
        def begins_with(self, path: str, mine: int) -> bool:
            same = super().begins_with(path, mine)
            Path(path).write_bytes(b"the user's own words")
            return same

    far = Slow({str(path): b"1\n2\n"})
    path.write_bytes(b"1\n")
    one = follower(far)
    one.once()
    one.once()

    assert b"the user's own words" == path.read_bytes()


def test_one_that_its_job_has_removed_is_asked_about_again(tmp_path: Path) -> None:
    path = tmp_path / "beam.sta"

    class Gone(Far):
        def begins_with(self, path: str, mine: int) -> bool:
            if not self.compared:
                self.compared.append(path)
                raise Rejected("missing: no such file")
            return super().begins_with(path, mine)

    far = Gone({str(path): b"1\n2\n"})
    path.write_bytes(b"1\n")
    one = follower(far)
    one.once()
    assert b"1\n" == path.read_bytes()
    one.once()
    assert b"1\n2\n" == path.read_bytes()


def test_neither_a_link_nor_a_directory_is_written_through(far: Far, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "job").mkdir()
    (tmp_path / "job/beam.sta").symlink_to(victim)
    (tmp_path / "turned").symlink_to(tmp_path / "job")
    far.files[f"{tmp_path}/job/beam.sta"] = b"ours\n"
    follower(far).once()

    assert b"precious" == victim.read_bytes()


def test_a_path_outside_the_jobs_directory_is_never_written(far: Far, tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    far.files[f"{tmp_path}/other.txt"] = b"ours\n"
    far.files[f"{tmp_path}/job/../dots.txt"] = b"ours\n"
    Follower(far, {}, {}, {}, (tmp_path / "job",)).once()

    assert [tmp_path / "job"] == sorted(tmp_path.rglob("*"))


def test_a_directory_that_is_not_there_yet_waits_for_the_landing(far: Far, tmp_path: Path) -> None:
    far.files[f"{tmp_path}/later/beam.sta"] = b"1\n"
    follower(far).once()

    assert [] == list(tmp_path.iterdir())


def test_how_names_looked_is_asked_for_only_where_a_file_is_there_that_is_no_copy(
    far: Far, tmp_path: Path
) -> None:
    asked = list[int]()
    (tmp_path / "old.sta").write_text("of an older run")

    def bring() -> dict[str, Mark]:
        asked.append(1)
        return marks(Look(), [tmp_path])

    known, copies = Recalled(bring), dict[str, Mark]()
    fresh, old = f"{tmp_path}/new.sta", f"{tmp_path}/old.sta"
    far.files = {"stdout": b"", fresh: b"1 2", old: b"3"}
    for more in (b"", b" 4"):
        del far.files[old]
        far.files[fresh] += more
        Follower(far, {}, known, copies, (ROOT,)).once()
        assert ([], far.files[fresh]) == (asked, Path(fresh).read_bytes())
        far.files[old] = b"3"
    Follower(far, {}, known, copies, (ROOT,)).once()
    assert ([1], b"3") == (asked, Path(old).read_bytes())
    Follower(far, {}, Recalled(bring), copies, (ROOT,)).once()
    assert [1] == asked


def test_where_they_cannot_be_had_nothing_stays_open(far: Far, tmp_path: Path) -> None:
    def bring() -> dict[str, Mark]:
        raise Away("burstd is away")

    (tmp_path / "old.sta").write_text("of an older run")
    far.files = {f"{tmp_path}/old.sta": b"3"}
    before = os.listdir("/proc/self/fd")  # noqa: PTH208
    with pytest.raises(Away):
        Follower(far, {}, Recalled(bring), {}, (ROOT,)).once()
    assert before == os.listdir("/proc/self/fd")  # noqa: PTH208
    assert "of an older run" == (tmp_path / "old.sta").read_text()
