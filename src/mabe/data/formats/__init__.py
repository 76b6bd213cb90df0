"""File formats: each module reads one, and knows nothing of a data set."""
