"""The campaign, in simulation: burstd's own engine in a world that fails as the real one does."""
