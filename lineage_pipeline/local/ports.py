"""TCP ports on 127.0.0.1: free ones, and a clear word when one that must be ours is taken."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Sequence

from lineage_pipeline.errors import PortTakenError, SetupError

HOST = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """`count` different ports that nothing listens on.

    Another process may take one before we listen: a small risk that readiness probes turn into an error, not into a
    wrong answer.
    """
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


def is_free(port: int) -> bool:
    """Whether we could listen on the port now. Raises SetupError for a number that is no port we may use."""
    with socket.socket() as probe:
        # As servers do: connections of an earlier run that the kernel still remembers do not count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OverflowError:
            raise SetupError(f"{port} is not a port: choose one from 1024 to 65535") from None
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise SetupError(f"port {port} cannot be used ({error.strerror}): choose one from 1024 to 65535") from None
    return True


def require_free(port: int, setting: str) -> int:
    """`port`, if it is free. Raises PortTakenError naming it and the setting to change."""
    if not is_free(port):
        raise PortTakenError(
            f"port {port} on {HOST} is in use by another process: end that process, or set {setting} to another port"
        )
    return port


def free_or_other(wanted: Sequence[int]) -> list[int]:
    """Each wanted port that is free, and another one in place of each that is not."""
    kept = [port for port in wanted if is_free(port)]
    others = iter(free_ports(len(wanted) - len(kept)))
    return [port if port in kept else next(others) for port in wanted]


def is_listening(port: int) -> bool:
    """Whether something accepts connections on the port."""
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False
