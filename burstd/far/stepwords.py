"""The options of srun, mpirun and mpiexec that batch scripts use: data, no verbs."""

# ruff: noqa: SIM905 (a hundred words read better than a hundred quoted words, one a line)
from __future__ import annotations

from collections.abc import Mapping

FLAG, VALUE, MAYBE = "flag", "value", "maybe"  # no value, a value, a value only if attached

_SHORT = """
    A=account B=extra-node-info b=begin C=constraint c=cpus-per-task D=chdir d=dependency
    E=preserve-env e=error F=nodefile G=gpus H=hold i=input I=immediate J=job-name k=no-kill
    K=kill-on-bad-exit l=label L=licenses M=clusters m=distribution N=nodes n=ntasks
    O=overcommit o=output p=partition q=qos Q=quiet r=relative S=core-spec s=oversubscribe
    T=threads t=time u=unbuffered v=verbose W=wait w=nodelist X=disable-status x=exclude
    Z=no-allocate
""".split()
SRUN_SHORT: Mapping[str, str] = dict(pair.split("=") for pair in _SHORT)

_FLAGS = """
    preserve-env hold label overcommit quiet unbuffered verbose disable-status no-allocate
    oversubscribe overlap contiguous exact spread-job use-min-nodes whole multi-prog pty reboot
    send-libs interactive version help usage x11
""".split()
_MAYBES = """
    exclusive immediate kill-on-bad-exit no-kill resv-ports nice bcast propagate
""".split()
_VALUES = """
    account extra-node-info begin constraint cpus-per-task chdir dependency error nodefile gpus
    input job-name licenses clusters distribution nodes ntasks output partition qos relative
    core-spec threads time wait nodelist exclude mpi export jobid mem mem-per-cpu mem-per-gpu
    mem-bind cpu-bind cpu-freq ntasks-per-node ntasks-per-core ntasks-per-socket ntasks-per-gpu
    gres gres-flags gpus-per-node gpus-per-task gpus-per-socket gpu-bind gpu-freq cpus-per-gpu
    cores-per-socket sockets-per-node threads-per-core hint open-mode signal comment reservation
    tmp network profile acctg-freq slurmd-debug deadline mincpus mail-type mail-user wckey
    het-group epilog prolog task-epilog task-prolog container uid gid export-file container-id
    bell power priority switches time-min delay-boot exclude-nodes cluster-constraint
    tres-per-task tres-bind
""".split()
SRUN_LONG: Mapping[str, str] = {
    **dict.fromkeys(_FLAGS, FLAG),
    **dict.fromkeys(_MAYBES, MAYBE),
    **dict.fromkeys(_VALUES, VALUE),
}

_LEAVING = """
    jobid clusters account no-allocate dependency begin hold cluster-constraint het-group uid
    gid reboot deadline
""".split()
_ESCAPING = """
    epilog prolog task-epilog task-prolog container container-id bcast send-libs multi-prog
    nodefile export-file slurmd-debug x11 network
""".split()
_INTERACTIVE = """
    pty interactive
""".split()
_ASKING = """
    version help usage
""".split()
REFUSED: Mapping[str, str] = {
    **dict.fromkeys(_LEAVING, "would leave this job's allocation"),
    **dict.fromkeys(_ESCAPING, "would leave the container"),
    **dict.fromkeys(_INTERACTIVE, "needs a terminal, and a batch job has none"),
    **dict.fromkeys(_ASKING, "is not answered by burstd's srun"),
}

# Words of the other site that mean nothing (or the wrong thing) at this one.
_OTHER_SITE = """
    bell comment constraint core-spec delay-boot immediate licenses mail-type mail-user nice
    partition power preserve-env priority profile qos reservation switches tmp wckey
""".split()
DROPPED = frozenset(_OTHER_SITE)

_MPI_ONE = """
    bind-to rank-by hostfile machinefile f H host hosts bootstrap launcher iface prefix timeout
    path rankfile rf personality rmk order x wdir wd n np c N npernode ppn perhost map-by
    genvlist envlist output cpus-per-proc cpus-per-rank
""".split()
_MPI_TWO = """
    mca gmca prtemca pmixmca genv env
""".split()
# How many values an option of mpirun takes.
MPI_VALUE: Mapping[str, int] = {**dict.fromkeys(_MPI_ONE, 1), **dict.fromkeys(_MPI_TWO, 2)}
_MPI_NONE = """
    allow-run-as-root bind-to-core bind-to-none bycore bynode bysocket disable-auto-cleanup
    display-map enable-recovery genvall genvnone l nolocal nooversubscribe oversubscribe
    prepend-rank q quiet report-bindings rr tag-output use-hwthread-cpus v verbose
""".split()
MPI_FLAG = frozenset(_MPI_NONE)
