"""TCP ports on 127.0.0.1: free ones, and a clear word when one that must be ours is taken."""

from __future__ import annotations

import contextlib
import errno
import random
import socket
from collections.abc import Sequence
from pathlib import Path

from lineage_pipeline.errors import PortTakenError, SetupError

HOST = "127.0.0.1"
_KERNELS_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_USUAL_FIRST = 32_768  # of Linux; other systems begin later
_LOWEST_PORT = 20_000  # above the ports of most known services
_TRIES = 200


def free_ports(count: int) -> list[int]:
    """`count` different ports that nothing listens on, chosen by lot below those that the kernel hands out by itself.

    Another process may take one before we listen: a small risk that readiness probes turn into an error, not into a
    wrong answer. Of the kernel's own range it would be a larger one: every connection and every server without a port
    of its own takes one of those.
    """
    lot, above = random.SystemRandom(), _first_port_of_the_kernel()
    with contextlib.ExitStack() as held:
        found: list[int] = []
        for port in lot.sample(range(_LOWEST_PORT, above), _TRIES):
            if len(found) == count:
                break
            one = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                one.bind((HOST, port))
                found.append(port)
        if len(found) < count:
            raise SetupError(f"no free ports on {HOST}: {_TRIES} between {_LOWEST_PORT} and {above} were tried")
        return found


def _first_port_of_the_kernel() -> int:
    """The lowest port that the kernel gives to who asks for any, and at least what leaves us some hundreds."""
    try:
        first = int(_KERNELS_PORTS.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        first = _USUAL_FIRST  # another system, or one that does not tell
    return max(first, _LOWEST_PORT + 2 * _TRIES)


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
