"""Ports on 127.0.0.1, with real sockets."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from lineage_pipeline.errors import PortTakenError, SetupError
from lineage_pipeline.local import ports
from lineage_pipeline.local.ports import free_or_other, free_ports, is_free, is_listening, require_free


def test_free_ports_are_different_and_free():
    found = free_ports(5)
    assert len(set(found)) == 5
    assert all(is_free(port) for port in found)
    assert not any(is_listening(port) for port in found)


def test_no_connection_and_no_server_that_takes_any_port_is_given_a_free_one_meanwhile():
    with socket.create_server(("127.0.0.1", 0)) as kernels_choice:
        assert max(free_ports(50)) < ports._first_port_of_the_kernel() <= kernels_choice.getsockname()[1]


@pytest.mark.parametrize(
    ("text", "first"), [("32768\t60999\n", 32768), ("1024 65000", 20_400), ("nonsense", 32_768), (None, 32_768)]
)
def test_the_kernels_range_is_asked_for_and_leaves_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, first: int
):
    told = tmp_path / "range"
    if text is not None:
        told.write_text(text)
    monkeypatch.setattr(ports, "_KERNELS_PORTS", told)
    assert ports._first_port_of_the_kernel() == first
    assert all(is_free(port) for port in free_ports(3))


def test_where_nothing_is_free_that_is_said(monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(ports, "range", lambda *_: [port] * 200, raising=False)
        with pytest.raises(SetupError, match="no free ports"):
            free_ports(1)


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
