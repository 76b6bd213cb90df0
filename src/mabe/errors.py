"""The one exception that means "the input is wrong", as opposed to "the code is wrong"."""

from runs import InputError

__all__ = ["InputError"]
