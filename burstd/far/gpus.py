"""GPUs of this node as a container may see them: the devices, and the driver's own libraries.

The libraries belong to the kernel's driver, not to the image; apptainer knows how to bring them
(``--nv``, ``--rocm``), for others they are told here. A node that keeps a job to its own devices
(cgroup.conf, ConstrainDevices) refuses the others itself.
"""

from __future__ import annotations

import glob
import re
import subprocess
from collections.abc import Mapping, Sequence

NVIDIA, AMD = "/dev/nvidia*", "/dev/kfd"
_DEVICES = (NVIDIA, AMD, "/dev/dri")
#: What Slurm sets in a job that has GPUs (slurm.conf(5), gres plugins).
_GRANTED = ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
_LIBRARY = re.compile(
    r"^\s*(lib(?:cuda|nvidia-[\w-]+|nvcuvid|nvoptix)\.so[\w.]*) \(([^)]*)\) => (\S+)$", re.MULTILINE
)
_LDCONFIG = "/sbin/ldconfig"
_PATIENCE_S = 20


def granted(env: Mapping[str, str]) -> bool:
    """Whether Slurm has given this job, or this step of it, GPUs."""
    return any(env.get(name) for name in _GRANTED)


def devices(patterns: Sequence[str] = _DEVICES) -> list[str]:
    """Those that are there."""
    return sorted(path for pattern in patterns for path in glob.glob(pattern))


def libraries() -> list[tuple[str, str]]:
    """(name, path) of the driver's, by the linker's cache; none where that can't be read."""
    try:
        listed = subprocess.run(
            [_LDCONFIG, "-p"], capture_output=True, check=False, timeout=_PATIENCE_S
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return of_driver(listed.decode("utf-8", "replace"))


def of_driver(listed: str) -> list[tuple[str, str]]:
    """The same, from what ``ldconfig -p`` prints; of two of one name the first, which the linker
    takes, and none of 32 bits."""
    found: dict[str, str] = {}
    for name, kind, path in _LIBRARY.findall(listed):
        if "64" in kind:
            found.setdefault(name, path)
    return sorted(found.items())
