"""Tests on the two-site lab: real Slurm, real tunnel, real container, real solver."""
