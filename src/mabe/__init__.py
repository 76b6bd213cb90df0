"""Behaviour models from pose tracking: recordings, labels, features, windows, models, metrics."""
