"""Commands around the pipeline: its summary, and the six versions side by side."""

import stages as stages  # puts src/ of this copy of the repository first on the path
