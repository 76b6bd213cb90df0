"""Behaviour models from pose tracking: recordings, labels, features, windows, models, metrics."""

import runs as runs  # before torch, see runs.WAITING
