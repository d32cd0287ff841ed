"""Batches: their input, the work on them, and their ends."""
