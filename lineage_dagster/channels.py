"""Sending: a generic webhook, Apprise for everything else, a log when nothing is configured, and the dead-man ping."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol
from urllib.parse import urlsplit

from lineage_dagster.address_guard import checked_addresses, only_public_addresses
from lineage_dagster.messages import Message
from lineage_pipeline.alert_settings import AlertSettings, ChannelSettings
from lineage_pipeline.errors import AlertError, LineageError

logger = logging.getLogger(__name__)
TIMEOUT_SECONDS = 15.0  # for one message from the first look at its address to the end of the answer
_OK = range(200, 300)


class Channel(Protocol):
    """One receiver. `send` returns None when the receiver took the message, else why not, without any secret."""

    @property
    def settings(self) -> ChannelSettings | None:
        """What it takes; None takes everything."""

    @property
    def name(self) -> str:
        """Its name in lineage.yaml."""

    def send(self, message: Message) -> str | None:
        """Never raises."""


class LogChannel:
    """Takes everything and writes it to the log: what is told when no channel is configured."""

    name = "log"
    settings = None

    def send(self, message: Message) -> str | None:
        """See Channel.send."""
        logger.warning("%s\n%s", message.title, message.text)
        return None


class SettingsChannel:
    """A channel of lineage.yaml. Its address is looked up at each message, so a rotated secret is used at once."""

    def __init__(self, settings: ChannelSettings, environ: Mapping[str, str]) -> None:
        self.settings = settings
        self._environ = environ

    @property
    def name(self) -> str:
        """See Channel.name."""
        return self.settings.name

    def send(self, message: Message) -> str | None:
        """See Channel.send."""
        chosen = self.settings
        reference = chosen.webhook or chosen.apprise
        assert reference is not None
        try:
            url = reference.resolve(self._environ).get_secret_value()
            deliver = post_json if chosen.webhook else _apprise
            deliver(url, message, chosen.allow_private)
        except LineageError as error:
            return f"channel {chosen.name}: {error}"
        except Exception as error:  # noqa: BLE001 - whatever a receiver makes a client raise, the message is undelivered
            return f"channel {chosen.name}: {type(error).__name__} while sending"
        return None


class Notifier:
    """All channels of the settings, and the dead-man ping. The resource behind the alert sensor."""

    def __init__(self, settings: AlertSettings, environ: Mapping[str, str]) -> None:
        self.settings = settings
        self._environ = environ
        self.channels: list[Channel] = [SettingsChannel(one, environ) for one in settings.channels] or [LogChannel()]

    def ping(self) -> str | None:
        """Tell the dead-man watcher that all is being watched; None when it took it, or there is none."""
        if self.settings.dead_man_url is None:
            return None
        try:
            url = self.settings.dead_man_url.resolve(self._environ).get_secret_value()
            _request("GET", url, None, self.settings.dead_man_allow_private)
        except LineageError as error:
            return f"dead-man ping: {error}"
        except Exception as error:  # noqa: BLE001 - as above
            return f"dead-man ping: {type(error).__name__}"
        return None


def post_json(url: str, message: Message, allow_private: bool) -> None:
    """POST the payload. Raises AlertError for a refused address or any answer but 2xx; follows no redirect."""
    _request("POST", url, json.dumps(message.payload).encode(), allow_private)


def _request(method: str, url: str, body: bytes | None, allow_private: bool) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise AlertError("the address of a webhook begins with http:// or https:// and names a host")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    addresses = checked_addresses(parts.hostname, port, allow_private=allow_private)
    deadline = time.monotonic() + TIMEOUT_SECONDS
    connection = _connection(parts.scheme, parts.hostname, port)
    connection.sock = _connected((parts.scheme, parts.hostname, port), addresses, deadline)
    # A timeout of the socket begins anew with each byte, and an answer may be dripping.
    end = threading.Timer(max(0.0, deadline - time.monotonic()), _shut, (connection.sock,))
    end.start()
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(method, path, body, {"Content-Type": "application/json", "User-Agent": "flink-lineage"})
        status = connection.getresponse().status
    finally:
        end.cancel()
        connection.close()
    if status not in _OK:
        raise AlertError(f"the receiver at {parts.hostname} answered {status} instead of 2xx")


def _connection(scheme: str, host: str, port: int) -> http.client.HTTPConnection:
    kind: Callable[..., http.client.HTTPConnection]
    kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    return kind(host, port, timeout=TIMEOUT_SECONDS)


def _shut(taken: socket.socket) -> None:
    with contextlib.suppress(OSError):
        taken.shutdown(socket.SHUT_RDWR)


def _connected(target: tuple[str, str, int], addresses: list[str], deadline: float) -> socket.socket:
    """A connection to one of the addresses that were checked, not to what the name means by now."""
    scheme, host, port = target
    failure: OSError | None = None
    for address in addresses:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        try:
            plain = socket.create_connection((address, port), left)
        except OSError as error:
            failure = error
            continue
        if scheme == "http":
            return plain
        try:
            return ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        except OSError:
            plain.close()
            raise
    reason = (failure.strerror or "timed out") if failure else "no address"
    raise AlertError(f"nothing answers at {host}:{port} ({reason})") from None


def _apprise(url: str, message: Message, allow_private: bool) -> None:
    import apprise  # noqa: PLC0415 - slow to import, and most ticks send nothing

    asset = apprise.AppriseAsset(app_id="flink-lineage", http_redirects=False)
    plugin = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    if plugin is None:
        raise AlertError("the address is none that Apprise knows")
    # Services at their vendor's address (Slack, PagerDuty, ...) have no host to choose; all others are checked.
    templates: tuple[str, ...] = tuple(plugin.templates)
    if any("{host" in template for template in templates) and plugin.host:
        checked_addresses(str(plugin.host), int(plugin.port or 443), allow_private=allow_private)
    smtp = getattr(plugin, "smtp_host", None)
    if smtp:
        checked_addresses(str(smtp), int(plugin.port or 25), allow_private=allow_private)
    with contextlib.nullcontext() if allow_private else only_public_addresses():
        taken = plugin.notify(body=message.text, title=message.title)
    if not taken:
        raise AlertError("the service did not take the message")
