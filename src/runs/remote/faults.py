"""Modal's errors as one sentence each: what went wrong, and what to do."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from runs import RunError
from runs.remote import VOLUME


def import_modal() -> ModuleType:
    """The client library; RunError if it is not installed."""
    try:
        import modal
    except ImportError:
        raise RunError(
            "the package modal is not installed: pip install -c requirements.lock -e '.[modal]'"
        ) from None
    return modal


@contextmanager
def sentences() -> Iterator[None]:
    """Turns Modal's errors within the block into RunErrors."""
    modal = import_modal()
    try:
        yield
    except modal.exception.Error as error:
        raise RunError(sentence(error)) from error


def sentence(error: Exception) -> str:
    """What an error of the client means and what to do about it."""
    from modal import exception

    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, exception.AuthError):
        if "missing" in text:
            return (
                "there is no Modal token: run `modal token new`, or set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET"
            )
        return f"Modal refuses the token ({text}): run `modal token new`, or check MODAL_TOKEN_ID and _SECRET"
    if isinstance(error, exception.ConnectionError | exception.ServiceError):
        server = os.environ.get("MODAL_SERVER_URL", "https://api.modal.com")
        return f"the Modal server {server} cannot be reached ({text}): a run that is under way goes on, try again"
    if isinstance(error, exception.ResourceExhaustedError):
        return (
            f"the Volume {VOLUME} is full ({text}): `python -m runs status` lists the runs on it, "
            "`python -m runs clean` removes finished ones"
        )
    if isinstance(error, exception.VersionError):
        return f"this version of the package modal is refused ({text}): install the one in requirements.lock"
    return f"Modal: {text}"
