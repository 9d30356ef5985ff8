"""What sbatch would be told, read from its words, its variables and the script."""

from __future__ import annotations

from pathlib import Path

import pytest

from burstd.adapters.slurm.submission import WillRun, script_at, submission, will_run
from burstd.agent.survey import survey
from burstd.ports.errors import Unreachable
from tests.unit.values import NOW

SCRIPT = """#!/bin/sh
#SBATCH -A crash --time=2:00:00
# a remark
#SBATCH --comment="burst:class=eu b"   # why
#SBATCH --ntasks 4 -J beam

#SBATCH --array=1-5,9%2
srun ccx beam
#SBATCH --time=9:00:00
"""


def test_options_win_over_variables_and_these_over_the_script() -> None:
    said = submission(
        ["-t", "30", "--nodes=2", "-x", "n1", "run.sh", "-t", "7"], 5, SCRIPT,
        {"SBATCH_ACCOUNT": "nvh", "SBATCH_TIMELIMIT": "60", "OTHER": "x"},
    )  # fmt: skip

    assert {
        "account": "nvh", "time": "30", "comment": "burst:class=eu b", "job-name": "beam",
        "array": "1-5,9%2", "ntasks": "4",
    } == dict(said.said)  # fmt: skip
    assert (("-t", "30", "--nodes=2", "-x", "n1"), ("-t", "7")) == (said.options, said.arguments)
    assert (1, 2, 3, 4, 5, 9) == said.tasks


@pytest.mark.parametrize(
    ("words", "script"),
    [
        ("run.sh", "run.sh"),
        ("-p batch run.sh batch", "run.sh"),
        ("-pbatch -N2 run.sh", "run.sh"),
        ("--partition batch --hold run.sh", "run.sh"),
        ("--partition=batch -W -Q run.sh -x 7", "run.sh"),
        ("--comment -p -H run.sh", "run.sh"),
        ("-n 4 -s --exclusive --gres gpu:1 run.sh", "run.sh"),
        ("-HQp batch run.sh", "run.sh"),
        ("-HQpbatch run.sh", "run.sh"),
        ("-H -- -odd.sh -x", "-odd.sh"),
        ("-p batch", None),
        ("-H --", None),
        ("--hold -t", None),
        ("", None),
    ],
)
def test_the_script_is_the_first_word_that_belongs_to_no_option(
    words: str, script: str | None
) -> None:
    """A file may be called as a partition is."""
    at = script_at(words.split())
    assert script == (None if at is None else words.split()[at])


def test_without_an_array_it_is_one_job_and_a_wrong_one_is_refused() -> None:
    assert () == submission(["run.sh"], 0, "", {}).tasks
    with pytest.raises(ValueError):
        _ = submission(["-a", "x-y", "run.sh"], 2, "", {}).tasks
    with pytest.raises(ValueError, match="expected one argument"):
        submission(["--time=1", "run.sh"], 1, "#SBATCH --time", {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "sbatch: Job 12 to start at {at} using 8 processors on nodes c[1-2] in partition cae\n",
            WillRun(NOW, 8, 2, "cae"),
        ),
        (
            "sbatch: lua: hello\nsbatch: Job 1 to start at {at} using 1 processors on nodes n7 in "
            "partition short",
            WillRun(NOW, 1, 1, "short"),
        ),
    ],
)
def test_slurms_word_on_a_start_is_read(text: str, expected: WillRun) -> None:
    assert expected == will_run(text.format(at=int(NOW.timestamp())))


@pytest.mark.parametrize("text", ["", "sbatch: Job 1 to start at Unknown using", "hello"])
def test_no_word_is_no_estimate(text: str) -> None:
    with pytest.raises(Unreachable, match="told no start"):
        will_run(text)


def test_a_survey_names_the_files_that_would_leave_and_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    deck, mesh, other = tmp_path / "beam.inp", tmp_path / "mesh.msh", tmp_path / "other.txt"
    deck.write_text("*INCLUDE, INPUT=mesh.msh\n")
    mesh.write_bytes(b"x" * 100)
    other.write_text("not named")
    script = tmp_path / "run.sh"
    script.write_text("#!/bin/sh\nccx -i $1\n")
    found = survey("calculix", [str(script), "beam"])

    assert [(str(deck), 25), (str(mesh), 100)] == found["files"]
    assert 125 == found["bytes"]
    mesh.unlink()
    assert "mesh.msh" in str(survey("calculix", [str(script), "beam"])["refused"])


def test_names_that_are_cut_short_are_those_that_sbatch_hears() -> None:
    words = ["--acc=crash", "--arr", "1-9%2", "--excl", "--mem-b=local", "--time-min=5", "run.sh"]
    at = script_at(words)
    assert 6 == at
    asked = submission(words, at, "#!/bin/sh\n#SBATCH --part=cae\n", {})

    expected = {"account": "crash", "array": "1-9%2", "exclusive": "", "partition": "cae"}
    assert expected == dict(asked.said)
    assert (9, 2) == (len(asked.tasks), asked.throttle)


@pytest.mark.parametrize(
    ("words", "lines", "gpus", "types", "others"),
    [
        ("-n4 --gpus=4 run.sh", "", 4, "", 0),
        ("-G2 --gres=gpu:a100:1 run.sh", "", 2, "a100", 0),
        ("-G a100:2 run.sh", "", 2, "a100", 0),
        ("--gpus-per-task 1 run.sh", "#SBATCH -n6", 6, "", 0),
        ("--gpus-per-socket=2 --sockets-per-node 2 run.sh", "", 4, "", 0),
        ("--gres=nvme:1,gpu:2 run.sh", "", 2, "", 1),
        ("--gres=none run.sh", "#SBATCH --gres=gpu:1", 0, "", 0),
        ("--gpus=0 run.sh", "#SBATCH --gpus=1", 0, "", 0),
        ("-n4 run.sh", "", 0, "", 0),
    ],
)  # fmt: skip
def test_generic_resources_are_those_that_sbatch_is_told(
    words: str, lines: str, gpus: int, types: str, others: int
) -> None:
    given = words.split()
    asked = submission(given, len(given) - 1, f"#!/bin/sh\n{lines}\n", {})
    shape = asked.shape(1, 1)
    assert (gpus, types, others) == (shape.gpus, "".join(shape.gpu_types), len(shape.other_gres))


@pytest.mark.parametrize(
    ("words", "lines", "memory", "cores", "exclusive"),
    [
        ("--exclusive -N2 run.sh", "", 0, 4, True),
        ("--exclusive=user run.sh", "", 0, 4, False),
        ("run.sh", "#SBATCH --exclusive\n#SBATCH --mem=4G", 4096, 4, True),
        ("--mem 500mb run.sh", "#SBATCH --mem=4G", 500, 4, False),
        ("--mem=0 run.sh", "#SBATCH --mem=4G", 0, 4, False),
        ("--mem-per-cpu=2000 run.sh", "", 8000, 4, False),
        ("-c 4 --ntasks-per-node=8 run.sh", "", 0, 32, False),
    ],
)
def test_what_a_node_must_have_is_what_sbatch_is_told(
    words: str, lines: str, memory: int, cores: int, exclusive: bool
) -> None:
    given = words.split()
    asked = submission(given, len(given) - 1, f"#!/bin/sh\n{lines}\n", {})
    shape = asked.shape(2, 8)
    assert (memory, cores, exclusive) == (shape.memory, shape.cpus_per_node, shape.exclusive)
    assert not asked.het
    several = f"#!/bin/sh\n{lines}\n#SBATCH hetjob\n#SBATCH -n2\n"
    assert submission(given, len(given) - 1, several, {}).het
