"""One script per DVC stage (`python -m stages.NAME`): read parameters, call the library, put outputs in place."""
