"""Memory or threads that the system refused (`ulimit -v`, a container's limit): how each library tells of it."""

from runs.text import one_line

# torch (CPU, GPU), the operating system, threading, Arrow, C++, the loader of shared libraries, and pandas' parser when
# it has no exception to pass on from reading the file.
SIGNS = (
    "can't allocate memory",
    "out of memory",
    "Cannot allocate memory",
    "can't start new thread",
    "Resource temporarily unavailable",
    "malloc of size",
    "realloc of size",
    "bad_alloc",
    "failed to map segment",
    "Calling read(nbytes) on source failed",
)


def refused(error: BaseException) -> bool:
    """Whether `error` says that memory or a thread was refused: then no file and no parameter is wrong."""
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in SIGNS)


def sentence(error: BaseException, less: str | None = None) -> str:
    """What to do about it, in one line. less: which parameters let this work take less memory, if any do."""
    remedy = "close other programs, or raise the limit (`ulimit -v`)"
    return f"the memory does not suffice ({one_line(error)}): {remedy}" + (
        "" if less is None else f", or {less}"
    )
