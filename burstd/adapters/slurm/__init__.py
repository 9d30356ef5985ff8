"""The on-prem Slurm behind port ``Queue``."""
