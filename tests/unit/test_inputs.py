"""Which files a job needs: decks with their includes, words of scripts, and true manifests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from burstd.agent.decks import LEVELS, MissingInput, closure, references
from burstd.agent.inputs import find, hollow, marks
from burstd.agent.landing import Landing
from burstd.agent.standin import StandIn, this_one
from burstd.agent.walk import Look
from burstd.agent.words import directories, expand, words
from burstd.domain.data import Mark
from tests.unit.studies import Put, stand_in


def found(job: StandIn, resolver: str = "calculix") -> list[str]:
    return sorted(str(Path(p).relative_to(job.directory)) for p in find(Look(), job, resolver))


# --- decks


def test_a_deck_brings_its_includes_from_any_directory(put: Put, tmp_path: Path) -> None:
    put("mesh/nodes.inc", "*NODE\n")
    shared = tmp_path.parent / "shared.inc"
    shared.write_text("*MATERIAL, NAME=STEEL\n")
    deck = put("beam.inp", f"*INCLUDE, INPUT=mesh/nodes.inc\n*INCLUDE,INPUT={shared}\n*STEP\n")

    assert [deck, tmp_path / "mesh/nodes.inc", shared] == closure(deck, tmp_path)


def test_a_name_is_relative_to_where_the_solver_runs_not_to_the_including_file(
    put: Put, tmp_path: Path
) -> None:
    put("mesh/all.inc", "*INCLUDE, INPUT=mesh/part.inc\n")
    put("mesh/part.inc")
    deck = put("beam.inp", "*INCLUDE, INPUT=mesh/all.inc\n")

    assert 3 == len(closure(deck, tmp_path))


@pytest.mark.parametrize(
    "card",
    [
        "*INCLUDE, INPUT=a.inc",
        "*include,input=a.inc",
        "*Include , Input = a.inc",
        "  *INCLUDE,INPUT=a.inc",
        "*INCLUDE,INPUT=a.inc\r",
        "*\tINCLUDE,\tINPUT=a.inc",
    ],
)
def test_a_card_is_read_in_any_case_with_any_blanks_and_ends_of_line(
    put: Put, tmp_path: Path, card: str
) -> None:
    put("a.inc")
    deck = put("beam.inp", f"*HEADING\n{card}\n*STEP\n")

    assert [deck, tmp_path / "a.inc"] == closure(deck, tmp_path)


def test_a_comment_includes_nothing(put: Put, tmp_path: Path) -> None:
    deck = put("beam.inp", "**INCLUDE, INPUT=gone.inc\n** *INCLUDE, INPUT=gone.inc\n")

    assert [deck] == closure(deck, tmp_path)


def test_a_missing_include_is_named_with_deck_and_line(put: Put, tmp_path: Path) -> None:
    put("a.inc", "*NODE\n1,0,0,0\n*INCLUDE, INPUT=gone.inc\n")
    deck = put("beam.inp", "*INCLUDE, INPUT=a.inc\n")
    with pytest.raises(MissingInput) as error:
        closure(deck, tmp_path)

    assert (
        f"missing input file {tmp_path}/gone.inc (named gone.inc in line 3 of {tmp_path}/a.inc)"
        == str(error.value)
    )


def test_a_circle_of_includes_ends(put: Put, tmp_path: Path) -> None:
    put("a.inc", "*INCLUDE, INPUT=b.inc\n")
    put("b.inc", "*INCLUDE, INPUT=a.inc\n*INCLUDE, INPUT=beam.inp\n")
    deck = put("beam.inp", "*INCLUDE, INPUT=a.inc\n")

    assert 3 == len(closure(deck, tmp_path))


def test_includes_nest_nine_levels_as_in_the_solver(put: Put, tmp_path: Path) -> None:
    for level in range(1, LEVELS + 2):
        put(f"{level}.inc", f"*INCLUDE, INPUT={level + 1}.inc\n")
    put(f"{LEVELS + 2}.inc")
    deck = put("beam.inp", "*INCLUDE, INPUT=1.inc\n")
    names = {path.name for path in closure(deck, tmp_path)}

    assert {"beam.inp", *(f"{n}.inc" for n in range(1, LEVELS + 1))} <= names
    assert f"{LEVELS + 2}.inc" not in names


def test_matrices_are_inputs_too(put: Put, tmp_path: Path) -> None:
    put("k.sti"), put("m.mas")
    card = "*MATRIX ASSEMBLE, NAME=X, STIFFNESS FILE=k.sti, MASS FILE=m.mas\n"
    deck = put("beam.inp", card)

    assert {"beam.inp", "k.sti", "m.mas"} == {p.name for p in closure(deck, tmp_path)}


def test_a_deck_of_bytes_that_are_no_text_is_read(put: Put, tmp_path: Path) -> None:
    put("a.inc")
    deck = put("beam.inp", b"** M\xfcnchen\n*INCLUDE, INPUT=a.inc\n")

    assert 2 == len(closure(deck, tmp_path))


def test_a_name_that_is_no_ascii_is_its_bytes(put: Put, tmp_path: Path) -> None:
    names = ["träger.inc".encode(), b"tr\xe4ger.inc"]
    for name in names:
        put(os.fsdecode(name))
    deck = put("beam.inp", b"".join(b"*INCLUDE, INPUT=" + name + b"\n" for name in names))

    assert names == [os.fsencode(path.name) for path in closure(deck, tmp_path)[1:]]


def test_a_deck_is_read_in_blocks_and_lines_are_counted_through(
    put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("burstd.agent.decks.BLOCK", 64)
    lines = [b"1, 0.0, 0.0, 0.0"] * 30 + [b"*INCLUDE, INPUT=a.inc"]
    put("a.inc")
    deck = put("beam.inp", b"\n".join([*lines, *lines, b"9" * 500, *lines]))

    assert [31, 62, 94] == [one.line for one in references(deck)]
    assert 2 == len(closure(deck, tmp_path))


# --- scripts


def test_only_what_the_script_names_is_sent(put: Put, tmp_path: Path) -> None:
    put("beam.inp", "*INCLUDE, INPUT=a.inc\n"), put("a.inc"), put("secret.txt"), put("old.frd")
    job = stand_in(tmp_path, "#!/bin/bash\nccx -i beam\n")

    assert ["a.inc", "beam.inp"] == found(job)


@pytest.mark.parametrize(
    ("text", "arguments", "environment"),
    [
        ("JOB=beam\nccx $JOB\n", (), {}),
        ('JOB="beam"\nccx -i ${JOB}.inp\n', (), {}),
        ("ccx $1\n", ("beam",), {}),
        ("ccx ${1:-beam}\n", (), {}),
        ("ccx part_$SLURM_ARRAY_TASK_ID/../beam\n", (), {"SLURM_ARRAY_TASK_ID": "3"}),
        ("ccx bea$UNKNOWN\n", (), {}),
        ("ccx be?m.inp\n", (), {}),
        ("cp --deck=beam.inp /tmp; true\n", (), {}),
        ("ccx 'beam'; (ccx beam) && ccx `echo beam`\n", (), {}),
    ],
)
def test_a_name_is_found_behind_variables_globs_and_quotes(
    put: Put, tmp_path: Path, text: str, arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    put("beam.inp"), put("part_3/x"), put("other.txt")
    job = stand_in(tmp_path, f"#!/bin/bash\n{text}", *arguments, **environment)

    assert "beam.inp" in found(job)
    assert "other.txt" not in found(job)


def test_names_with_blanks_and_directories_changed_into(put: Put, tmp_path: Path) -> None:
    put("case 1/my beam.inp", "*INCLUDE, INPUT=a.inc\n"), put("case 1/a.inc"), put("x.txt")
    job = stand_in(tmp_path, '#!/bin/bash\ncd "case 1"\nccx "my beam"\n')

    assert ["case 1/a.inc", "case 1/my beam.inp"] == found(job)


@pytest.mark.parametrize("seeming", [True, False], ids=["another", "nothing"])
@pytest.mark.parametrize(
    "script",
    ["cd run1\nccx ../mesh\n", "cd run1\nccx ../me*h\n", "ccx beam\n", "./solve run1/../mesh.inp"],
)
def test_a_name_that_leads_through_a_link_and_up_again_keeps_its_job_here(
    put: Put, tmp_path: Path, script: str, *, seeming: bool
) -> None:
    """A run directory on scratch; at a target it is none, and ``..`` leads elsewhere."""
    put("scratch/run1/x"), put("scratch/mesh.inp", "*NODE\n2,0,0,0\n")
    put("job/beam.inp", "*INCLUDE,INPUT=run1/../mesh.inp\n")
    if seeming:
        put("job/mesh.inp", "*NODE\n1,0,0,0\n")
    (tmp_path / "job/run1").symlink_to(tmp_path / "scratch/run1")
    with pytest.raises(MissingInput, match=f"is {tmp_path}/scratch/mesh.inp here"):
        found(stand_in(tmp_path / "job", f"#!/bin/bash\n{script}"))


def test_one_that_leads_up_to_where_it_seems_to_is_an_input(put: Put, tmp_path: Path) -> None:
    put("job/mesh.inp"), put("job/cases/run1/x"), put("job/beam.inp")
    (tmp_path / "job/link").symlink_to("cases")
    (tmp_path / "job/cases/mesh.inp").symlink_to("../mesh.inp")
    text = "#!/bin/bash\ncd link/run1\nccx ../mesh\ncd ..\ncd ..\nccx cases/../beam\n"
    assert ["beam.inp", "link/mesh.inp", "link/run1/x"] == found(stand_in(tmp_path / "job", text))


def test_a_script_that_the_script_runs_has_its_say(put: Put, tmp_path: Path) -> None:
    put("beam.inp"), put("study.py", "#!/usr/bin/env python3\nopen('table.csv')\nrun('beam')\n")
    put("table.csv"), put("unused.csv")
    job = stand_in(tmp_path, "#!/bin/bash\n./study.py\nccx beam\n")

    assert ["beam.inp", "study.py", "table.csv"] == found(job)


def test_without_a_deck_the_whole_directory_goes(put: Put, tmp_path: Path) -> None:
    put("a/b.txt"), put(".hidden"), put("run.sh")
    (tmp_path / "link").symlink_to(tmp_path / "a/b.txt")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe")
    job = stand_in(tmp_path, "#!/bin/bash\nmake all\n")

    assert [".hidden", "a/b.txt", "link", "run.sh"] == found(job) == found(job, "all")


def test_results_of_others_that_are_on_their_way_are_no_inputs(put: Put, tmp_path: Path) -> None:
    """The tasks of an array share a directory; such a file changes all the time."""
    landing = Landing("0a1b2c", (tmp_path,), {}, lambda *_: None)
    put("run.sh"), put(landing._temporary("out.frd")), put("out.frd.burst-0a1b2c"), put(".burst-x")
    job = stand_in(tmp_path, "#!/bin/bash\nmake all\n")
    assert [".burst-x", "out.frd.burst-0a1b2c", "run.sh"] == found(job)


def test_directories_that_links_lead_to_go_along_each_once_on_any_way(
    put: Put, tmp_path: Path
) -> None:
    top = tmp_path / "job"
    put("job/run.sh"), put("shared/mesh/a.inc"), put("shared/b.inc")
    (top / "shared").symlink_to(tmp_path / "shared")
    (top / "twice").symlink_to(tmp_path / "shared/mesh")
    (tmp_path / "shared/back").symlink_to(top)  # from there it would go round and round
    (tmp_path / "shared/mesh/self").symlink_to(".")
    (top / "programs").symlink_to("/usr/bin")
    (top / "root").symlink_to("/")
    (top / "dangling").symlink_to("gone")
    job = stand_in(top, "#!/bin/bash\nmake all\n")

    assert ["run.sh", "shared/b.inc", "shared/mesh/a.inc", "twice/a.inc"] == found(job)


def test_directories_that_hold_no_input_are_made(put: Put, tmp_path: Path) -> None:
    files = [put("a/b/in.dat"), put("run.sh")]
    for name in ("a/b/results", "a/empty/deep", "vault/x", "r"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "r").chmod(0o2775)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    stays = [("secret", [f"{tmp_path}/vault"])]
    made = dict(hollow(Look(), tmp_path, map(str, files), stays))

    assert [f"{tmp_path}/{name}" for name in ("r", "a/empty", "a/b/results", "a/empty/deep")] == (
        list(made)
    )
    assert 0o2775 == made[f"{tmp_path}/r"]


def test_programs_of_the_system_are_not_inputs(put: Put, tmp_path: Path) -> None:
    put("beam.inp")
    job = stand_in(tmp_path, "#!/bin/bash\n. /etc/profile\n/usr/bin/env ccx beam </dev/null\n")

    assert [str(tmp_path / "beam.inp")] == find(Look(), job, "calculix")


def test_words_of_comments_name_nothing() -> None:
    text = expand("# beam.inp\n  # JOB=x\nccx a#b $JOB\n", (), {})

    assert "beam.inp" not in set(words(text, ()))
    assert {"ccx", "a#b", "*"} <= set(words(text, ()))
    assert ["x y", "z"] == list(directories('cd "x y"\nif true; then cd z; fi\necho cd w'))


# --- marks


def test_marks_tell_a_later_change(put: Put, tmp_path: Path) -> None:
    path = put("a/x.txt", "abc")
    before = marks(Look(), [tmp_path])
    seen = path.stat()
    assert {str(path): Mark(3, seen.st_mtime_ns, seen.st_ino)} == before
    path.unlink()
    put("a/x.txt", "abc")
    os.utime(path, ns=(seen.st_mtime_ns, seen.st_mtime_ns))
    put("y.txt")

    assert {str(path), str(tmp_path / "y.txt")} == set(marks(Look(), [tmp_path]))


# --- who the stand-in is


def test_a_stand_in_knows_its_job_from_slurms_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {"SLURM_JOB_ID": "12", "SLURM_RESTART_COUNT": "2", "SLURM_PROCID": "0"}
    job = this_one(["/spool/slurm_script", "a b"], environment)
    assert ("12", 2, ("a b",), tmp_path) == (job.job, job.restarts, job.arguments, job.directory)
    assert {"SLURM_JOB_ID", "SLURM_RESTART_COUNT"} == set(job.exports)
    element = {**environment, "SLURM_ARRAY_JOB_ID": "11", "SLURM_ARRAY_TASK_ID": "3"}
    assert "11_3" == this_one(["/x"], element).job
    for argv, variables in ((["/x"], {}), ([], environment)):
        with pytest.raises(SystemExit):
            this_one(argv, variables)
