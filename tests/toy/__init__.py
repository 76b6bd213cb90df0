"""A run of milliseconds for the tests of runs.remote: a chain of hashes, one link an epoch."""
