"""Commands around the pipeline: its summary, and the six versions side by side."""
