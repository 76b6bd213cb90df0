"""A loopback stand-in for the Modal control plane: the real `modal` client talks to it over gRPC.

It keeps apps, functions, calls, volumes and logs in memory, and really executes function bodies: each call gets a
subprocess running Modal's own container entrypoint (`python -m modal._container_entrypoint`) that sees only the files
that the client mounted, with Volumes materialised as directories under a root of its own. Commits are honoured: what a
container did not commit is gone when it is killed. Binds 127.0.0.1 only, and is no security boundary.

    with Server(folder) as server:
        subprocess.run(command, env=os.environ | server.environment())

What the client never calls here is answered with UNIMPLEMENTED and counted.
"""

from loopback.server import Server

__all__ = ["Server"]
