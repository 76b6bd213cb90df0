"""Measurements: each module prints one JSON line and keeps it in benchmarks/results/."""
