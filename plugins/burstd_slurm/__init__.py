"""Target plugin: a remote Slurm cluster, reached by SSH through its link."""

from burstd.ports.plugin import TargetPlugin
from burstd_slurm.settings import SlurmTargetSettings
from burstd_slurm.target import open_target

PLUGIN = TargetPlugin(settings=SlurmTargetSettings, open=open_target)
