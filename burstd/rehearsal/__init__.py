"""Rehearsal: a site's history, run again with and without bursting."""
