"""Suites that every implementation of a port must pass: subclass one and give its fixtures.

They need pytest; nothing else of burstd does.
"""
