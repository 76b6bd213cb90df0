"""Measurements: each module prints one JSON line and keeps it in benchmarks/results/."""

import runs as runs  # before torch, see runs.WAITING
