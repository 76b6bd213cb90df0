"""Modal's errors as one sentence each: what went wrong, and what to do."""

import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from runs import RunError
from runs.remote import VOLUME
from runs.text import one_line

PATIENCE = 10  # seconds
NO_TOKEN = "there is no Modal token: run `modal token new`, or set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET"


def import_modal() -> ModuleType:
    """The client library; RunError if it is not installed."""
    try:
        import modal
    except ImportError:
        raise RunError(
            "the package modal is not installed: pip install -c requirements.lock -e '.[modal]'"
        ) from None
    except Exception as error:  # it reads its configuration, whose errors it defines only then
        raise RunError(f"the package modal does not load: {one_line(error)}") from None
    return modal


def check_client() -> None:
    """RunError if no run can be started: the package or a token is missing. Asks nobody whether the token is right."""
    with sentences():
        config = import_modal().config.config
        kinds = (
            ("token_id", "token_secret"),
            ("oauth_refresh_token", "oauth_client_id", "oauth_client_secret"),
        )
        if not any(all(config.get(name) for name in kind) for kind in kinds):
            raise RunError(NO_TOKEN)


@contextmanager
def sentences() -> Iterator[None]:
    """Turns Modal's errors within the block into RunErrors."""
    modal = import_modal()
    try:
        yield
    except modal.exception.Error as error:
        raise RunError(sentence(error)) from error
    except lost_network() as error:
        raise RunError(
            unreachable(modal.config.config["server_url"], str(error) or type(error).__name__)
        ) from error


def lost_network() -> tuple[type[Exception], ...]:
    """Errors of a connection that breaks or cannot be made, which Modal's client lets through as they are."""
    from grpclib.exceptions import StreamTerminatedError

    return StreamTerminatedError, socket.gaierror, ConnectionError


def reach() -> None:
    """RunError if nothing answers at the server's address: Modal's client would try in silence for a minute."""
    from modal.config import config

    url = config["server_url"]
    where = urllib.parse.urlsplit(url)
    if urllib.request.getproxies().get(where.scheme):
        return  # only the proxy knows
    try:
        port = where.port or {"http": 80, "https": 443}[where.scheme]
        socket.create_connection((where.hostname, port), timeout=PATIENCE).close()
    except OSError as error:
        raise RunError(unreachable(url, str(error))) from None


def unreachable(url: str, why: str) -> str:
    return f"the Modal server {url} cannot be reached ({why}): try again; a run that is under way goes on meanwhile"


def sentence(error: Exception) -> str:
    """What an error of the client means and what to do about it."""
    from modal import exception
    from modal.config import config

    text = one_line(error)
    if isinstance(error, exception.AuthError):
        if "missing" in text:
            return NO_TOKEN
        return f"Modal refuses the token ({text}): run `modal token new`, or check MODAL_TOKEN_ID and _SECRET"
    if isinstance(error, exception.ConnectionError | exception.ServiceError):
        return unreachable(config["server_url"], text)
    if isinstance(error, exception.ResourceExhaustedError):
        return (
            f"the Volume {VOLUME} is full ({text}): `python -m runs status` lists the runs on it, "
            "`python -m runs clean` removes finished ones"
        )
    if isinstance(error, exception.VersionError):
        return f"this version of the package modal is refused ({text}): install the one in requirements.lock"
    return f"Modal: {text}"
