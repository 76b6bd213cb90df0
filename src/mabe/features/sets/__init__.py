"""Feature sets: one module each, whose name is a value of `features`. Nothing lists them.

A module has `FEATURES`, a `mabe.features.layout.FeatureSet`.
"""
