"""The depot over real pipes, from the built program."""

from __future__ import annotations

import io
import os
import struct
import subprocess
from itertools import pairwise
from typing import BinaryIO, cast

import pytest

from burstd.far import chunks, wire
from burstd.far.client import missing
from burstd.far.errors import FarError, FarLost
from burstd.far.fields import canonical
from burstd.far.order import InputFile
from burstd.far.parts import Part
from tests.far.kit import KEY, MTIME, PYTHON, FarEnd, as_user, entry, order, put, submit

STUDY = "/home/alice/study"
MIB = 1024 * 1024


def test_a_file_goes_there_and_back(far: FarEnd) -> None:
    content = os.urandom(3 * MIB + 17)
    one = entry(f"{STUDY}/beam.inp", content, mode=0o4751)
    with far.serving() as (client, _):
        hello = client.hello()
        assert hello.protocol == wire.PROTOCOL and hello.free > 0 and len(hello.program or "") == 64
        assert put(client, one, content) == len(content)
        back = io.BytesIO()
        assert client.read_into({"path": one.path}, back, 0, 10 * MIB) == len(content)
        assert back.getvalue() == content
        assert client.read({"path": one.path}, len(content) - 3, 100) == content[-3:]
    fact = far.file(one.path).stat()
    assert (fact.st_mode & 0o7777, fact.st_mtime_ns) == (0o751, MTIME)
    assert far.run_dir.stat().st_mode & 0o777 == 0o700


def test_many_files_of_any_name_and_size(far: FarEnd) -> None:
    names = [f"{STUDY}/{n}" for n in ("a b", "new\nline", "\udcff\udcfe", "ü", "x" * 255, "empty")]
    names += [f"{STUDY}/d{n % 7}/f{n}" for n in range(500)]
    contents = {
        name: (b"" if name.endswith("empty") else name.encode("utf-8", "surrogateescape"))
        for name in names
    }
    with far.serving() as (client, _):
        client.hello()
        for name, content in contents.items():
            put(client, entry(name, content), content)
        client.mkdir(f"{STUDY}/hollow/inner", 0o750).result()
    assert (far.file(STUDY) / "hollow/inner").is_dir()
    assert (far.file(STUDY) / os.fsdecode(b"\xff\xfe")).is_file()
    assert contents == {name: far.file(name).read_bytes() for name in names}


def test_what_is_read_travels_compressed_if_that_is_worth_it(far: FarEnd) -> None:
    text = b"".join(b"%8d%16.6f\n" % (n, n / 7) for n in range(100_000))
    contents = {"text": text, "noise": os.urandom(2 * MIB), "short": b"x" * 100, "none": b""}
    with far.serving() as (client, _):
        client.hello()
        for name, content in contents.items():
            put(client, entry(f"{STUDY}/{name}", content), content)
        for name, content in contents.items():
            came = _Counted(client._from)
            client._from = came  # type: ignore[assignment]
            back = io.BytesIO()
            path = {"path": f"{STUDY}/{name}"}
            assert len(content) == client.read_into(path, back, 0, len(content))
            assert content == back.getvalue()
            assert content[-9:] == client.read(path, max(0, len(content) - 9), 100)
            assert (name == "text") == (came.bytes < len(content) / 2)


class _Counted:
    """A pipe that knows what came through it."""

    def __init__(self, pipe: BinaryIO) -> None:
        self.pipe, self.bytes = pipe, 0

    def read(self, size: int) -> bytes:
        content = self.pipe.read(size)
        self.bytes += len(content)
        return content


def test_what_came_before_a_cut_is_not_sent_again(far: FarEnd) -> None:
    """The conversation that was cut may not know it: its pack is still locked."""
    content = os.urandom(5 * MIB)
    one = entry(f"{STUDY}/big", content)
    ends = [0, *chunks.cut(content)]
    half = len(ends) // 2
    with far.serving() as (hanging, _):
        hanging.hello()
        names = chunks.each(chunks.names(content, ends[1:]))
        pieces = [content[start:end] for start, end in pairwise(ends)]
        wanted = [(name, len(piece)) for name, piece in zip(names, pieces, strict=True)]
        assert len(wanted) == len(missing(hanging.want(wanted).result()[1], len(wanted)))
        hanging.chunks([(0, half)], b"".join(pieces[:half]), None).result()
        with far.serving() as (client, _):
            client.hello()
            assert len(content) - ends[half] == put(client, one, content)
    assert content == far.file(one.path).read_bytes()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("at", [0, 1, 100_000, 1_234_567, 3_000_000])
def test_a_cut_within_a_pack_costs_less_than_a_chunk_and_a_block(
    far: FarEnd, at: int, compressed: bool
) -> None:
    content = os.urandom(4 * MIB)
    ends = list(chunks.cut(content))
    wanted = [
        (name, end - start)
        for name, end, start in zip(
            chunks.each(chunks.names(content, ends)), ends, [0, *ends], strict=False
        )
    ]
    with far.serving() as (client, program):
        client.hello()
        client.want(wanted).result()
        pack = chunks.compress(content, 1, ends) if compressed else content
        header = {"op": "chunks", "runs": [[0, len(ends)]], "size": len(pack)}
        text = canonical({**header, "plain": len(content)} if compressed else header)
        pipe = cast(BinaryIO, program.stdin)
        pipe.write(struct.pack(">I", len(text)) + text + pack[:at])
        pipe.flush()
    with far.serving() as (client, _):
        client.hello()
        lacking = missing(client.want(wanted).result()[1], len(wanted))
    kept = len(content) - sum(wanted[number][1] for number in lacking)
    assert at - 2 * 65536 - chunks.MOST < kept <= at
    assert kept > 0 or at < 500_000


def test_what_another_job_has_sent_is_not_sent_again(far: FarEnd) -> None:
    content = os.urandom(MIB)
    with far.serving() as (client, _):
        client.hello()
        assert len(content) == put(client, entry(f"{STUDY}/a", content), content)
        assert 0 == put(client, entry(f"{STUDY}/b", content, 0o755), content)
    with far.serving("b-other") as (client, _):
        client.hello()
        assert 0 == put(client, entry(f"{STUDY}/c", content), content)
    assert content == far.file(f"{STUDY}/b").read_bytes()
    assert 0o755 == far.file(f"{STUDY}/b").stat().st_mode & 0o777


def test_no_pack_takes_all_memory(far: FarEnd) -> None:
    with far.serving() as (client, _):
        client.hello()
        client.want([(bytes(32), chunks.MOST)]).result()
        for plain in (None, 2_000_000 * chunks.MOST, 5):
            with pytest.raises(FarError, match="too large"):
                client.chunks([(0, 1)] * 2_000_000, b"x", plain).result()
        assert client.hello().protocol == wire.PROTOCOL


def test_wrong_bytes_never_land(far: FarEnd) -> None:
    one = entry(f"{STUDY}/f", b"right")
    with far.serving() as (client, _):
        client.hello()
        client.want([(bytes.fromhex(one.blake3), 5)])
        assert _code(lambda: client.chunks([(0, 1)], b"wrong", None).result()) == "mismatch"
        assert _code(lambda: client.chunks([(0, 1)], b"righ", None).result()) == "broken"
        assert _code(lambda: client.chunks([(1, 1)], b"right", None).result()) == "refused"
        assert (
            _code(lambda: client.build([Part(one.path, 0, [(0, 1)], one)]).result()) == "mismatch"
        )
        client.chunks([(0, 1)], b"right", None).result()
        short = InputFile(one.path, 4, one.blake3, one.mtime_ns, one.mode)
        assert (
            _code(lambda: client.build([Part(one.path, 0, [(0, 1)], short)]).result()) == "refused"
        )
        late = Part(f"{STUDY}/g", 5, [(0, 1)], None)
        assert _code(lambda: client.build([late]).result()) == "refused"
        client.build([Part(one.path, 0, [(0, 1)], one)]).result()
    assert b"right" == far.file(one.path).read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        "relative",
        "",
        "/",
        "/home/../etc/passwd",
        "/home/./x",
        "/home//x",
        "/home/x/",
        "/..",
        "/home/a\0b",
        "/" + "x" * 256,
        "/home" + "/y" * 3000,
    ],
)
def test_hostile_paths_are_refused(far: FarEnd, path: str) -> None:
    good = entry(f"{STUDY}/x", b"x")
    bad = InputFile(path, good.size, good.blake3, good.mtime_ns, good.mode)
    with far.serving() as (client, _):
        client.hello()
        assert _code(lambda: put(client, bad, b"x")) == "refused"
        assert _code(lambda: client.mkdir(path, 0o700).result()) == "refused"
        assert _code(lambda: client.read({"path": path}, 0, 1)) == "refused"
        put(client, good, b"x")  # the line is still in step


def test_planted_links_lead_nowhere(far: FarEnd) -> None:
    outside = far.home / "outside"
    outside.mkdir(mode=0o777)
    outside.chmod(0o777)
    (outside / "secret").write_text("s")
    with far.serving() as (client, _):
        client.hello()
        client.mkdir(STUDY, 0o700).result()
        (far.file(STUDY) / "dir").symlink_to(outside)
        (far.file(STUDY) / "file").symlink_to(outside / "secret")
        os.mkfifo(far.file(STUDY) / "pipe")
        below = entry(f"{STUDY}/dir/new", b"x")
        assert _code(lambda: put(client, below, b"x")) == "refused"
        assert _code(lambda: client.mkdir(f"{STUDY}/dir/new", 0o700).result()) == "refused"
        for name in ("dir/secret", "file", "pipe"):
            assert _code(lambda n=name: client.read({"path": f"{STUDY}/{n}"}, 0, 1)) == "refused"
        over = entry(f"{STUDY}/file", b"new")
        put(client, over, b"new")  # replaces the link itself
    assert sorted(p.name for p in outside.iterdir()) == ["secret"]
    assert (outside / "secret").read_text() == "s"
    assert far.file(f"{STUDY}/file").read_text() == "new"


@pytest.mark.parametrize("key", ["..", ".", "a/b", "", "a b", "x" * 200])
def test_bad_keys_are_refused(far: FarEnd, key: str) -> None:
    argv = [key if word == KEY else word for word in far.argv("serve")]
    done = subprocess.run(argv, input=b"", capture_output=True, env=far.environment(), check=False)
    assert done.returncode == 1
    assert b"refused" in done.stdout
    assert not list(far.root.rglob("*"))


def test_a_full_disk_is_told_and_survived(small_site: FarEnd) -> None:
    content = os.urandom(3 * MIB)
    ballast = small_site.root / "ballast"
    with small_site.serving() as (client, _):
        client.hello()
        ballast.write_bytes(b"x" * (6 * MIB))
        one = entry(f"{STUDY}/big", content)
        assert _code(lambda: put(client, one, content)) == "full"
        ballast.unlink()
        assert 0 < put(client, one, content) < len(content)
    assert content == small_site.file(one.path).read_bytes()


def test_no_part_goes_on_behind_one_that_failed(far: FarEnd) -> None:
    """What of the first part was written is no beginning of a file."""
    pieces = [b"a" * 100, b"b" * 100, b"c" * 100]
    one = entry(f"{STUDY}/f", pieces[0] + pieces[2])
    with far.serving() as (client, _):
        client.hello()
        client.want([(bytes.fromhex(entry("/x", piece).blake3), 100) for piece in pieces])
        client.chunks([(0, 1)], pieces[0], None).result()
        client.chunks([(2, 1)], pieces[2], None).result()
        first = client.build([Part(one.path, 0, [(0, 2)], None)])
        second = client.build([Part(one.path, 100, [(2, 1)], one)])
        assert ("mismatch", "refused") == (_code(first.result), _code(second.result))


def test_inputs_are_closed_by_the_start(far: FarEnd) -> None:
    submit(far, "#!/bin/sh\n", {f"{STUDY}/f": b"x"})
    (far.run_dir / "start.1").touch()
    with far.serving() as (client, _):
        client.hello()
        one = entry(f"{STUDY}/f", b"y")
        assert _code(lambda: put(client, one, b"y")) == "refused"
        assert _code(lambda: client.build([]).result()) == "refused"
        assert _code(lambda: client.mkdir(f"{STUDY}/d", 0o700).result()) == "refused"
        assert _code(lambda: client.order(order(), b"")) == "refused"
        client.order(order(attempt=2), b"#!/bin/sh\n")
        assert _code(client.outputs) == "never_started"
        assert client.status().started == 1


@pytest.mark.parametrize(
    "frame",
    [
        b"\xff\xff\xff\xff",
        b"\0\0\0\1x",
        b"\0\0\0\2[]",
        b'\0\0\0\x05{"a":',
        b'\0\0\0\x0b{"size":-1}',
    ],
)
def test_garbage_ends_the_conversation(far: FarEnd, frame: bytes) -> None:
    done = subprocess.run(
        far.argv("serve"), input=frame, capture_output=True, env=far.environment(), check=False
    )
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "request_",
    [
        b'{"op":"fly"}',
        b"{}",
        b'{"op":"chunks"}',
        b'{"op":"chunks","runs":[[0]]}',
        b'{"op":"chunks","runs":[[-1,1]]}',
        b'{"op":"read","which":"stdout","offset":0,"length":99999999}',
        b'{"op":"hello","protocol":1}',
        b'{"op":["x"]}',
    ],
)
def test_bad_requests_are_refused_in_words(far: FarEnd, request_: bytes) -> None:
    with far.serving() as (client, program):
        client.hello()
        pipe = cast(BinaryIO, program.stdin)
        pipe.write(struct.pack(">I", len(request_)) + request_)
        pipe.flush()
        with pytest.raises(FarError) as refusal:
            client._receive(0)
        assert refusal.value.code == "refused"
        client.status()


def test_a_lost_line_is_its_own_error(far: FarEnd) -> None:
    with far.serving() as (client, program):
        client.hello()
        program.kill()
        program.wait()
        with pytest.raises(FarLost):
            client.status()


@pytest.mark.parametrize("said", [b"", b"\0\0\0\x10{"], ids=["nothing", "half a frame"])
def test_a_line_that_is_silent_has_ended(far: FarEnd, said: bytes) -> None:
    """A cut of the network ends a conversation, and tells neither end of it."""
    with subprocess.Popen(
        far.argv("serve", "--silence", "1"), env=far.environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as program:  # fmt: skip
        assert program.stdin is not None
        program.stdin.write(said)
        program.stdin.flush()
        assert program.wait(60) != 0


def test_list_and_clean(far: FarEnd) -> None:
    submit(far, "#!/bin/sh\n", {f"{STUDY}/f": b"x"})
    argv = [word for word in far.argv("list", "--json") if word not in ("--key", KEY)]
    done = subprocess.run(argv, capture_output=True, check=True)
    assert b'"state": "staging"' in done.stdout and KEY.encode() in done.stdout
    assert subprocess.run(far.argv("clean"), check=False).returncode == 0
    assert not far.run_dir.exists()


def test_clean_removes_ten_thousand_nested_directories(far: FarEnd) -> None:
    submit(far, "#!/bin/sh\n")
    deep = (
        "import os, sys; os.chdir(sys.argv[1])\n"
        "for _ in range(10000): os.mkdir('d'); os.chdir('d')\n"
    )
    subprocess.run(as_user([PYTHON, "-c", deep, str(far.run_dir)]), check=True)
    assert subprocess.run(far.argv("clean"), check=False).returncode == 0
    assert not far.run_dir.exists()


def _code(act: object) -> str:
    with pytest.raises(FarError) as refusal:
        act()  # type: ignore[operator]
    return refusal.value.code


def test_what_matches_below_the_jobs_directory_is_told(far: FarEnd) -> None:
    with far.serving() as (client, _):
        client.hello()
        assert [] == client.files(["*"])
        names = ("a.vtk", "b.vtk", "r/c.vtk", "d.log", "\udcff.vtk")
        given = tuple(entry(f"{STUDY}/{name}", b"text") for name in names)
        for one in given:
            put(client, one, b"text")
        client.order(order(cwd=STUDY, inputs=given), b"#!/bin/sh\n")
        far.file(f"{STUDY}/link.vtk").symlink_to("/etc/passwd")
        found = client.files(["*.vtk", "r/?.vtk", "none"])
        assert [f"{STUDY}/{n}" for n in ("a.vtk", "b.vtk", "r/c.vtk", "\udcff.vtk")] == [
            seen.path for seen in found
        ]
        assert {(4, MTIME, 0o640)} == {(seen.size, seen.mtime_ns, seen.mode) for seen in found}
        before = found[0]
        far.file(before.path).write_bytes(b"else")
        assert before != client.files(["a.vtk"])[0]
        with pytest.raises(FarError, match="not a plain path"):
            client.files(["../x"])
