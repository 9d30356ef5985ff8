"""The crash campaign: real components, real faults, a judge from outside. See docs/faults.md."""
