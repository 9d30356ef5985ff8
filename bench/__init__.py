"""Measurements: each a program, each against a peer in the same run. Tests assert no times."""
