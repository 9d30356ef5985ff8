"""The story that shows burstd at work on the lab, and the verdict on it."""
