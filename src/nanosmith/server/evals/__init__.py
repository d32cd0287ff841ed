"""Evals: definitions, runs, and the work of a run."""
