"""Nouns: frozen values of the problem. Nothing here does anything; only the standard library."""
