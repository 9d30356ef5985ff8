"""Promises: one Protocol per file, and the errors that may cross them. Nothing runs here."""
