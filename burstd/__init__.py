"""burstd: a full on-prem Slurm queue overflows into cloud partitions and the results come home."""

__version__ = "0.1.0"
