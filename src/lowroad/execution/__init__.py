"""Carrying out independent tasks, here or on worker processes."""
