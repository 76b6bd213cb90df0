"""The one exception that means "the input is wrong", as opposed to "the code is wrong"."""


class InputError(ValueError):
    """Bad data or parameters. The message is one sentence: what, where, and what to do.

    Stages print the message alone and exit with 1; every other exception keeps its traceback.
    """
