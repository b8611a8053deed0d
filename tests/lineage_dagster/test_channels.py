"""Where messages may go: never into the own network by accident, never on by a redirect, never to another address."""

from __future__ import annotations

import socket
import threading

import pytest

from lineage_dagster.address_guard import checked_addresses, is_public
from lineage_dagster.channels import SettingsChannel
from lineage_dagster.incidents import Notice, Sighting
from lineage_dagster.messages import MAX_TEXT, digest, message
from lineage_pipeline.alert_settings import ChannelSettings
from lineage_pipeline.errors import AlertError
from lineage_pipeline.local.ports import HOST
from tests.lineage_dagster.receiver import Receiver

SIGHTING = Sighting("t", "loss", "LOSS: 60 offsets", 1_700_000_000.0, 60, 1, ((9, 100, 160),))
MESSAGE = message(Notice("opened", 1_700_000_000.0, SIGHTING), "https://ui.example", (), 1_700_000_000.0)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
        ),
        *(
            "::1",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a00:1::",
        ),
        *("fe80::1%lo", "::", "ff02::1", "::127.0.0.1", "::ffff:0:127.0.0.1", "fec0::1", "64:ff9b:1::1"),
    ],
)
def test_addresses_off_the_public_internet_are_not_public(address: str):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:4700:4700::1111", "64:ff9b::808:808"])
def test_public_addresses_are_public(address: str):
    assert is_public(address)


@pytest.mark.parametrize("host", ["localhost", "127.1", "0x7f000001", "2130706433", "[::1]".strip("[]")])
def test_however_the_own_machine_is_written_it_is_refused(host: str):
    with pytest.raises(AlertError, match=r"not a public address|is unknown"):
        checked_addresses(host, 80, allow_private=False)


def _send(receiver: Receiver, url: str, *, kind: str = "webhook", allow_private: bool = True) -> str | None:
    settings = ChannelSettings.model_validate({"name": "hook", kind: {"env": "HOOK"}, "allow_private": allow_private})
    return SettingsChannel(settings, {"HOOK": url}).send(MESSAGE)


@pytest.mark.parametrize("kind", ["webhook", "apprise"])
def test_a_redirect_is_not_followed(kind: str, receiver: Receiver):
    receiver.status, receiver.location = 302, receiver.url
    url = receiver.url if kind == "webhook" else receiver.url.replace("http://", "json://").partition("?")[0]
    assert _send(receiver, url, kind=kind) is not None
    assert (receiver.got, receiver.pings) == ([], 0)


@pytest.mark.parametrize("kind", ["webhook", "apprise"])
def test_a_private_receiver_gets_nothing_unless_allowed(kind: str, receiver: Receiver):
    url = receiver.url if kind == "webhook" else receiver.url.replace("http://", "json://").partition("?")[0]
    assert "not a public address" in str(_send(receiver, url, kind=kind, allow_private=False))
    assert receiver.got == []
    assert _send(receiver, url, kind=kind) is None
    assert len(receiver.got) == 1


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://h.example/x", "", "http://", "http://[::1", "gopher://x:1"]
)
def test_other_addresses_than_http_are_refused_as_undelivered(url: str, receiver: Receiver):
    assert _send(receiver, url) is not None


@pytest.mark.parametrize("kind", ["webhook", "apprise"])
def test_a_name_that_means_another_address_a_moment_later_leads_nowhere(
    kind: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []

    def rebinding(host: str, port: int, *_more: object, **_named: object) -> list[tuple[object, ...]]:
        asked.append(host)
        address = "192.0.0.9" if len(asked) == 1 else HOST  # public, and where nothing answers
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr("lineage_dagster.address_guard._look_up", rebinding)
    monkeypatch.setattr("lineage_dagster.channels.TIMEOUT_SECONDS", 1.0)
    port = receiver.server_address[1]
    url = f"{'http' if kind == 'webhook' else 'json'}://rebinding.example:{port}/hook"
    assert _send(receiver, url, kind=kind, allow_private=False) is not None
    assert asked[0] == "rebinding.example"
    assert (receiver.got, receiver.refused) == ([], 0)


def test_a_receiver_that_never_ends_its_answer_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lineage_dagster.channels.TIMEOUT_SECONDS", 0.5)
    with socket.create_server((HOST, 0)) as server:
        ended = threading.Event()

        def drip() -> None:
            taken, _ = server.accept()
            with taken:
                while not ended.wait(0.05):
                    try:
                        taken.send(b"H")
                    except OSError:
                        return

        dripping = threading.Thread(target=drip)
        dripping.start()
        settings = ChannelSettings.model_validate({"name": "hook", "webhook": {"env": "H"}, "allow_private": True})
        said: list[str | None] = []
        url = f"http://{HOST}:{server.getsockname()[1]}/"
        sending = threading.Thread(target=lambda: said.append(SettingsChannel(settings, {"H": url}).send(MESSAGE)))
        sending.start()
        sending.join(60)
        given_up = not sending.is_alive()
        ended.set()
        dripping.join()
        sending.join()
    assert given_up
    assert "channel hook" in str(said[0])


def test_nobody_listening_is_undelivered_with_a_reason(receiver: Receiver):
    assert "nothing answers" in str(_send(receiver, "http://127.0.0.1:1/"))


def test_messages_are_bounded_whatever_the_incident():
    spans = tuple((number, 0, 10) for number in range(100))
    huge = Notice("opened", 0.0, Sighting("t" * 249, "loss", "x" * 10_000, 0.0, 10**6, 100, spans))
    one = message(huge, "https://ui.example", (), 0.0)
    assert len(one.text) <= MAX_TEXT + 10
    many = digest([huge] * 1000, "https://ui.example")
    assert len(many.text) <= MAX_TEXT + 10
    assert (len(many.payload["topics"]), many.payload["more_topics"]) == (100, 900)
    assert one.text.endswith("?view=checks&checkDetail=completeness")
