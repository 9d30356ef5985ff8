"""The verb `step-exec`: one task of a step, started by the job's srun on any of its nodes."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Mapping
from typing import Optional

from burstd.far import paths, procs, rundir
from burstd.far.fields import BadFields, Fields
from burstd.far.gpus import granted
from burstd.far.images import ImageError, Mount
from burstd.far.keeper import keep
from burstd.far.loop import Loop
from burstd.far.payload import Payload, say
from burstd.far.rundir import STEPS, TREE
from burstd.far.runtimes import KNOWN, Container
from burstd.far.steps import MOUNTED, SPECS
from burstd.far.workplace import SharedPlace, make_work, remove_work

# The launcher's word, which only the task itself has.
_PER_TASK = ("PMIX_", "PMI_", "PMI2_", "SLURM_STEP_", "SLURM_PMI", "PALS_")
_TASK_NAMES = (
    "SLURM_PROCID",
    "SLURM_NODEID",
    "SLURM_LOCALID",
    "SLURM_STEPID",
    "SLURM_NTASKS",
    "SLURM_NPROCS",
    "SLURM_NNODES",
    "SLURM_TASKS_PER_NODE",
    "SLURM_TASK_PID",
    "SLURM_GTIDS",
    "SLURM_CPUS_PER_TASK",
    "SLURMD_NODENAME",
    "SLURM_NODELIST",
    "SLURM_DISTRIBUTION",
    "CUDA_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
)
_ALONE = {
    "SLURM_PROCID": "0",
    "SLURM_NODEID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NTASKS": "1",
    "SLURM_STEP_ID": "0",
    "SLURM_STEPID": "0",
    "SLURM_STEP_NUM_TASKS": "1",
}


def step_exec(root: str, key: str, step: int) -> int:
    """Runs one task in the payload's image; returns its exit code. Leaves nothing running."""
    run = rundir.RunDir.open(root, key)
    try:
        with paths.directory(run.fd, (SPECS,)) as specs:
            document = paths.read_regular(specs, b"%d.json" % step, rundir.MAX_DOCUMENT)
        spec = Fields.parse(document, "step")
    except (OSError, BadFields) as error:
        say(f"no step {step}: {error}")
        return 125
    parent = tempfile.gettempdir()
    work = make_work(parent)
    shared = _meeting_place(parent, key)

    def cleanup() -> None:
        remove_work(work)
        if shared is not None:
            shared.leave()

    scratch = work if shared is None else shared.path
    return keep(lambda control: _run(run, spec, (work, scratch), control), cleanup)


def _meeting_place(parent: str, key: str) -> Optional[SharedPlace]:
    if not launched_for_mpi(os.environ):
        return None
    names = (os.environ.get(name, "0") for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    return SharedPlace(parent, "-".join((key, *names)))


def task_environment(step: Mapping[str, str], real: Mapping[str, str]) -> dict[str, str]:
    """The step's environment with what its launcher tells this one task."""
    told = {
        name: value
        for name, value in real.items()
        if name in _TASK_NAMES or name.startswith(_PER_TASK)
    }
    if "SLURM_PROCID" not in told:
        told = dict(_ALONE)
    env = {**step, **told}
    if "SLURM_JOB_ID" in env:  # the old name: Open MPI takes no launch by srun without it
        env["SLURM_JOBID"] = env["SLURM_JOB_ID"]
    if launched_for_mpi(told):
        # The shared-memory store of PMIx lies where a container cannot see it.
        env["PMIX_MCA_gds"] = "hash"
        # Ranks have user namespaces of their own: no reading of each other's memory.
        env.setdefault("OMPI_MCA_btl_vader_single_copy_mechanism", "none")
    return env


def launched_for_mpi(env: Mapping[str, str]) -> bool:
    """Whether a PMI server waits for this task."""
    return any(name in env for name in ("PMIX_RANK", "PMI_RANK", "PMI2_RANK", "PMI_FD"))


def _run(run: rundir.RunDir, spec: Fields, places: tuple[str, str], control: int) -> int:
    work, scratch = places
    loop = Loop()
    runtime = KNOWN[spec.text("runtime")]
    real = {name: paths.to_text(os.fsencode(value)) for name, value in os.environ.items()}
    env = task_environment(spec.text_map("env"), real)
    try:
        mount = Mount(spec.text("image"), work)
    except (ImageError, OSError) as error:
        say(str(error))
        return 125
    container = Container(
        root=mount.root,
        work=work,
        scratch=scratch,
        binds=binds(run, spec.texts("binds")),
        argv=spec.texts("argv"),
        cwd=spec.text("cwd"),
        env=env,
        user=spec.text("user"),
        home=spec.text("home"),
        shared_node=launched_for_mpi(env),
        gpus=granted(real),
    )
    payload = Payload(loop, runtime.start(container), lambda: (0, 1, 2), mount.helper)
    loop.watch(control, lambda: _signalled(payload, control, loop))
    while not payload.ended:
        loop.turn()
    # In a shared process space the other ranks of this node are not below us: only ours go.
    spare = () if mount.helper is None else (mount.helper,)
    procs.sweep(spare, loop.reap, lambda: None, signal.SIGKILL)
    mount.close()
    if payload.never_started():
        say(f"cannot execute {container.argv[0]}")
        return 127
    return payload.code or 0


def binds(run: rundir.RunDir, tops: tuple[str, ...]) -> list[tuple[str, str]]:
    """The staged directories and the shims' directory as a container sees them."""
    tree = os.path.join(run.path, os.fsdecode(TREE))
    shims = os.path.join(run.path, os.fsdecode(STEPS))
    return [*((tree + top, top) for top in tops), (shims, MOUNTED)]


def _signalled(payload: Payload, control: int, loop: Loop) -> None:
    number: Optional[int] = next(iter(os.read(control, 1)), None)
    if number is None:  # the keeper is gone
        loop.unwatch(control)
        payload.kill()
    elif number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        payload.stop()
    else:
        payload.signal(number)
