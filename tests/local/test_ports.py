"""Ports on 127.0.0.1, with real sockets."""

from __future__ import annotations

import socket

import pytest

from lineage_pipeline.errors import PortTakenError, SetupError
from lineage_pipeline.local.ports import free_or_other, free_ports, is_free, is_listening, require_free


def test_free_ports_are_different_and_free():
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert all(is_free(port) for port in ports)
    assert not any(is_listening(port) for port in ports)


def test_a_taken_port_is_named_with_the_setting_to_change():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert is_listening(port)
        with pytest.raises(PortTakenError, match=rf"port {port} on 127\.0\.0\.1 is in use.*set FLINK_PORT to another"):
            require_free(port, "FLINK_PORT")


def test_only_taken_ports_are_replaced():
    (free,) = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        kept, other = free_or_other([free, port])
    assert kept == free
    assert other not in (free, port)


@pytest.mark.parametrize("port", [-1, 70000])
def test_what_is_no_port_is_refused(port: int):
    with pytest.raises(SetupError, match=f"{port} is not a port"):
        require_free(port, "X")
