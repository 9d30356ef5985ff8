"""What a job has left behind, as its runner swears it."""

from __future__ import annotations

import pytest

from burstd.far.endrecord import EndForged, EndRecord
from tests.far.kit import KEY, SECRET, FarEnd, finish, submit

STUDY = "/home/alice/study"


def test_outputs_are_told_exactly(site: FarEnd) -> None:
    files = {
        f"{STUDY}/{name}": f"content of {name}".encode()
        for name in ("same", "inplace", "gone", "sneaky", "touched", "sub/same")
    } | {"/home/alice/outside": b"x", "/home/alice/kept": b"y"}
    submit(
        site,
        (
            "#!/bin/bash\nset -e\n"
            "echo new > new.frd; printf 'CONTENT of inplace' > inplace; rm gone\n"
            "touch -r sneaky stamp; printf 'CONTENT of sneaky' > sneaky; touch -r stamp sneaky\n"
            "rm stamp; touch touched; mkdir -p deep/er empty; echo d > deep/er/f; chmod 751 empty\n"
            "ln -s /etc/passwd link; mkfifo pipe; echo o > ../outside; echo n > ../other\n"
            "touch $'na\\xefve\\n'; chmod 000 new.frd\n"
        ),
        files,
    )
    assert finish(site.run())[0] == 0, site.output("stderr")
    end = site.end()
    told = {output.path.removeprefix(STUDY + "/"): output for output in end.outputs}
    assert {name: output.kind for name, output in told.items()} == {
        "new.frd": "file",
        "inplace": "file",
        "sneaky": "file",
        "deep": "dir",
        "deep/er": "dir",
        "deep/er/f": "file",
        "empty": "dir",
        "link": "symlink",
        "pipe": "fifo",
        "na\udcefve\n": "file",
    }
    assert told["link"].target == "/etc/passwd"
    assert told["empty"].mode == 0o751
    assert told["new.frd"].mode == 0 and told["new.frd"].size == 4
    assert end.deleted == (f"{STUDY}/gone",)
    assert end.outside == ("/home/alice/other", "/home/alice/outside")
    with site.serving() as (client, _):
        assert EndRecord.unseal(client.outputs(), SECRET, KEY) == end
        assert client.read({"path": f"{STUDY}/new.frd"}, 0, 100) == b"new\n"


def test_a_file_with_several_names_is_listed_once(site: FarEnd) -> None:
    """Not with one that lies elsewhere, nor with an input."""
    files = {f"{STUDY}/in": b"given"}
    script = (
        "mkdir sub; echo x > b; ln b sub/a; ln b c; echo x > d; "
        "echo y > ../beside; ln ../beside e; ln ../beside f; ln in g"
    )
    submit(site, f"#!/bin/sh\n{script}\n", files)
    assert finish(site.run())[0] == 0, site.output("stderr")
    told = {o.path.removeprefix(f"{STUDY}/"): o.target for o in site.end().outputs}
    assert told == {
        "b": None, "c": f"{STUDY}/b", "d": None, "e": None, "f": f"{STUDY}/e", "g": None,
        "sub": None, "sub/a": f"{STUDY}/b",
    }  # fmt: skip


def test_end_record_cannot_be_forged(site: FarEnd) -> None:
    submit(site, "#!/bin/sh\nexit 1\n")
    finish(site.run())
    document = (site.run_dir / "end.json").read_bytes()
    with pytest.raises(EndForged):
        EndRecord.unseal(document.replace(b'"exit_code":1', b'"exit_code":0'), SECRET, KEY)
    with pytest.raises(EndForged):
        EndRecord.unseal(document, "00" * 32, KEY)
    with pytest.raises(EndForged):
        EndRecord.unseal(document, SECRET, "b-other")
