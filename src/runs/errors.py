"""The one exception of this package that a user can act on."""


class RunError(RuntimeError):
    """A run cannot start or go on here. The message is one sentence: what, where, and what to do."""
