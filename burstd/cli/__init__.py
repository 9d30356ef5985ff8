"""The two commands: ``burstd`` (the daemon) and ``burst`` (for people)."""
