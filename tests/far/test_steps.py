"""The step shims, with one task and no Slurm: what they carry, and how a step ends."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from burstd.far.stepexec import launched_for_mpi, task_environment
from burstd.far.stepopts import Step, StepRefused, parse
from tests.far.kit import FarEnd, await_line, finish, marked, submit

STUDY = "/home/alice/study"


def test_a_step_carries_everything(site: FarEnd) -> None:
    submit(
        site,
        (
            "#!/bin/bash\n"
            "export FROM_SCRIPT=$'two\\nlines'; mkdir 'sub dir'; cd 'sub dir'\n"
            "odd() { :; }; export -f odd\n"
            "printf 'the input' | srun -n1 bash -c '"
            'echo "$0|$1|$2|"; pwd; cat; echo; echo "$FROM_SCRIPT"; echo err >&2; type -t odd; '
            'echo "$SLURM_PROCID $SLURM_JOB_ID"; exit 42'
            "' $'a b' $'c\\nd' ''\n"
            "echo code $?\n"
        ),
    )
    code, words = finish(site.run())
    assert code == 0, words
    assert site.output() == (
        f"a b|c\nd||\n{STUDY}/sub dir\nthe input\ntwo\nlines\nfunction\n0 4711\ncode 42\n"
    )
    assert site.output("stderr") == "err\n"


def test_steps_at_once_and_nothing_left(site: FarEnd) -> None:
    submit(
        site,
        (
            "#!/bin/bash\n"
            # Each waits for the other: they run at the same time or never end.
            "mkfifo there back\n"
            "srun sh -c 'echo ping > there; read x < back; echo got $x' &\n"
            "srun sh -c 'read x < there; echo pong > back; echo got $x' &\n"
            # The runner forgets a request a moment after its shim has ended.
            'wait; until [ -z "$(ls /.burst/req)" ]; do sleep 0.02; done; echo forgotten\n'
        ),
    )
    assert finish(site.run())[0] == 0
    lines = site.output().split("\n")
    assert sorted(lines[:2]) == ["got ping", "got pong"]
    assert lines[2] == "forgotten"


def test_mpirun_becomes_a_step(site: FarEnd) -> None:
    submit(site, "#!/bin/sh\nmpirun -np 1 --bind-to core -x A=b sh -c 'echo $A; exit 6'\n")
    assert finish(site.run())[0] == 6
    assert site.output() == "b\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("srun --jobid=1 hostname", "allocation"),
        ("srun --task-prolog=/tmp/x hostname", "container"),
        ("srun -n 2 hostname", "no srun"),
        ("srun", "no program"),
    ],
)
def test_refusals_are_words_on_stderr(site: FarEnd, line: str, words: str) -> None:
    if "no srun" in words and shutil.which("srun"):
        pytest.skip("this machine has srun")
    submit(site, f"#!/bin/sh\n{line}\n")
    assert finish(site.run())[0] == 1
    assert words in site.output("stderr")


def test_step_output_goes_to_a_file_in_the_tree_only(site: FarEnd) -> None:
    target = site.home / "target"
    submit(
        site,
        (
            "#!/bin/sh\nsrun -o step.out echo hello; cat step.out\n"
            f"ln -s {target} link; srun -o link echo escaped; echo $?\n"
        ),
    )
    assert finish(site.run())[0] == 0
    assert site.output() == "hello\n127\n"
    assert "symbolic link" in site.output("stderr")
    assert not target.exists()


def test_term_of_the_shim_ends_the_step(site: FarEnd) -> None:
    mark = f"87{os.getpid()}1"
    submit(
        site,
        (
            "#!/bin/bash\n"
            f"srun bash -c 'trap \"echo last; exit 5\" 15; echo up; sleep {mark} & wait' > log &\n"
            "p=$!; until grep -q up log; do sleep 0.05; done\n"
            "kill $p; wait $p; echo code $?; cat log\n"
            "echo at the end; sleep 1000\n"
        ),
    )
    runner = site.run()
    await_line(site.run_dir / "io/stdout", "at the end", lambda: runner.poll() is None)
    assert not marked(mark), "the step outlived its shim"
    runner.terminate()
    finish(runner)
    assert site.output() == "code 5\nup\nlast\nat the end\n"


def test_term_of_the_job_ends_running_steps(site: FarEnd) -> None:
    mark = f"87{os.getpid()}2"
    submit(site, f'#!/bin/bash\nsrun bash -c "echo up; setsid sleep {mark}"\n')
    runner = site.run()
    await_line(site.run_dir / "io/stdout", "up", lambda: runner.poll() is None)
    runner.terminate()
    finish(runner)
    assert site.end().reason == "cancelled"
    assert not marked(mark)


def test_a_payload_cannot_lead_the_runner_out(site: FarEnd) -> None:
    """Fifos swapped for links and files: the runner opens none of them."""
    target = site.home / "target"
    target.write_text("untouched")
    target.chmod(0o666)
    submit(
        site,
        (
            "#!/bin/bash\nd=/.burst/req/evil; mkdir $d; mkfifo $d/in $d/err $d/rc\n"
            f"ln -s {target} $d/out\n"
            "printf 'srun\\0echo\\0escaped\\0' > $d/args; printf / > $d/cwd; : > $d/env\n"
            "echo 'RUN evil' > /.burst/requests; : > $d/in & cat $d/err & read rc < $d/rc\n"
            "echo rc $rc\n"
        ),
    )
    assert finish(site.run())[0] == 0
    assert "rc 1" in site.output()
    assert target.read_text() == "untouched"


def test_shims_are_sh(site: FarEnd) -> None:
    submit(site, "#!/bin/sh\nexit 0\n")
    finish(site.run())
    for shim in ("srun", "mpirun", "mpiexec"):
        place = site.run_dir / "steps/bin" / shim
        assert place.read_bytes().startswith(b"#!/bin/sh\n")
        assert place.stat().st_mode & stat.S_IXUSR


def _parsed(line: list[str], env: dict[str, str] | None = None) -> Step:
    return parse(line, env or {})


@pytest.mark.parametrize(
    ("line", "options", "command"),
    [
        (["srun", "-n", "4", "a", "-n", "5"], ["--ntasks=4"], ["a", "-n", "5"]),
        (["srun", "-n4", "-N2", "a"], ["--ntasks=4", "--nodes=2"], ["a"]),
        (["srun", "-lun", "2", "a"], ["--label", "--unbuffered", "--ntasks=2"], ["a"]),
        (["srun", "--ntasks", "3", "--mpi=pmix", "--", "-x"], ["--ntasks=3", "--mpi=pmix"], ["-x"]),
        (["srun", "--exclusive", "-w", "n1", "a"], ["--exclusive", "--nodelist=n1"], ["a"]),
        (["srun", "-K", "-c", "2", "a"], ["--kill-on-bad-exit", "--cpus-per-task=2"], ["a"]),
        (["srun", "-K1", "a"], ["--kill-on-bad-exit=1"], ["a"]),
        (["srun", "--brand-new=7", "a"], ["--brand-new=7"], ["a"]),
        (["srun", "-p", "site", "--qos=x", "a"], [], ["a"]),
        (["mpirun", "-np", "8", "a"], ["--mpi=pmix", "--ntasks=8"], ["a"]),
        (["mpirun", "--map-by", "ppr:2:node", "a"], ["--mpi=pmix", "--ntasks-per-node=2"], ["a"]),
        (
            ["mpiexec", "-n=2", "-hostfile", "h", "--oversubscribe", "a", "-n"],
            ["--mpi=pmix", "--ntasks=2", "--overcommit"],
            ["a", "-n"],
        ),
    ],
)
def test_option_parsers(line: list[str], options: list[str], command: list[str]) -> None:
    step = _parsed(line)
    assert (step.options, step.command) == (options, command)


def test_options_that_set_the_environment() -> None:
    step = _parsed(["mpirun", "-x", "A", "-x", "B=2", "--mca", "btl", "tcp,self", "a"], {"A": "1"})
    assert step.env == {"A": "1", "B": "2", "OMPI_MCA_btl": "tcp,self"}
    assert _parsed(["srun", "--export=ALL,X=1", "a"]).env == {"X": "1"}
    assert _parsed(["srun", "-D", "sub", "a"]).cwd == "sub"


@pytest.mark.parametrize(
    "line",
    [
        ["srun", "-M", "other", "a"],
        ["srun", "-A", "acct", "a"],
        ["srun", "--jobid", "1", "a"],
        ["srun", "--multi-prog", "a"],
        ["srun", "--prolog=/x", "a"],
        ["srun", "--wonder", "1", "a"],
        ["srun", "-n"],
        ["srun", "-n", "many", "a"],
        ["srun", "-?", "a"],
        ["srun", "--bcast=/x", "a"],
        ["mpirun", "-n", "1", "a", ":", "-n", "2", "b"],
        ["mpirun", "--dvm", "x", "a"],
    ],
)
def test_refused_options(line: list[str]) -> None:
    with pytest.raises(StepRefused):
        _parsed(line)


def test_a_task_gets_its_launchers_word() -> None:
    step = {"A": "1", "SLURM_JOB_ID": "4711", "SLURM_PROCID": "7"}
    real = {"SLURM_PROCID": "2", "PMIX_RANK": "2", "SLURM_JOB_ID": "99", "HOST_SECRET": "x"}
    env = task_environment(step, real)
    assert env == {
        "A": "1",
        "SLURM_JOB_ID": "4711",
        "SLURM_JOBID": "4711",
        "SLURM_PROCID": "2",
        "PMIX_RANK": "2",
        "PMIX_MCA_gds": "hash",
        "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
    }
    assert launched_for_mpi(env) and not launched_for_mpi(step)


def test_shim_scripts_need_only_sh() -> None:
    text = Path("burstd/far/shims/step.sh").read_text()
    assert "bash" not in text and "local " not in text
