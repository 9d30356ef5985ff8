"""The two-site lab: a real on-prem Slurm and a real cloud Slurm on one Debian machine.

`python -m lab` is for people (see README.md); `Lab.here()` is for tests.
"""

from lab.bucket import Bucket
from lab.errors import CommandFailed, LabError, MachineLacks, NotUp
from lab.host import Host, Spawned
from lab.lab import Lab
from lab.wan import Wan, Weather

__all__ = [
    "Bucket",
    "CommandFailed",
    "Host",
    "Lab",
    "LabError",
    "MachineLacks",
    "NotUp",
    "Spawned",
    "Wan",
    "Weather",
]
