"""Vendors: each package keeps one vendor's words and exceptions to itself."""
