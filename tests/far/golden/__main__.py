"""Writes them: for a new version of the formats only."""

from tests.far.golden import HERE, written

for name, text in written():
    (HERE / name).write_bytes(text)
