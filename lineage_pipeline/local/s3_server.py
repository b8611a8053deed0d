"""The embedded S3 server: S3Proxy over a directory, on 127.0.0.1 only, with credentials of its own.

It resumes what the directory holds: objects, credentials, and its port when that is free. It looks before it creates a
key, not in one step, so one auditor at a time may remember things there (docs/ledger.md).
"""

from __future__ import annotations

import json
import os
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any, final

import botocore.exceptions
import botocore.session

from lineage_pipeline.errors import ProcessError, SetupError
from lineage_pipeline.local.java import Java
from lineage_pipeline.local.ports import HOST, free_or_other, free_ports
from lineage_pipeline.local.processes import ManagedProcess

BUCKET = "flink-data"
START_SECONDS = 60.0
_ANSWER_SECONDS = 5.0
_JVM_OPTIONS = ("-Xms32m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
_PRIVATE = 0o600  # files with credentials


@final
class S3Server:
    """A server whose objects, settings and log are in `directory`; s3.json holds its port and credentials.

    A context manager: started on entry, with an empty bucket `flink-data` if it is not there, stopped on exit.
    """

    def __init__(self, directory: Path, java: Java, jars: Sequence[Path]) -> None:
        self._directory = directory.absolute()
        # The base must be absolute (with a relative one the server does not find its own parts of an upload), and not
        # in the properties file, which would read a backslash in it wrong.
        base = f"-Djclouds.filesystem.basedir={self._directory / 'buckets'}"
        options: list[str | Path] = [*_JVM_OPTIONS, base, "-jar", *jars, "--properties", "s3proxy.conf"]
        self._command = [java.executable, *options]
        self._port = 0
        self._key = ""
        self._secret = ""
        self._process: ManagedProcess | None = None

    @property
    def endpoint(self) -> str:
        """Where clients connect. The server must have been started once."""
        if not self._port:
            raise ProcessError("the S3 server has no port yet: start it first")
        return f"http://{HOST}:{self._port}"

    @property
    def environ(self) -> dict[str, str]:
        """The AWS_* variables of a client of this server; they hold its secret."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self._key,
            "AWS_SECRET_ACCESS_KEY": self._secret,
            "AWS_REGION": "us-east-1",
        }

    @property
    def environ_path(self) -> Path:
        """The same variables as a file for a shell, that only its owner may read."""
        return self._directory / "environment"

    @property
    def log_path(self) -> Path:
        """The server's log."""
        return self._directory / "s3.log"

    @property
    def bucket_directory(self) -> Path:
        """Where the server keeps the bucket's objects, as files under their keys."""
        return self._directory / "buckets" / BUCKET

    @property
    def process(self) -> ManagedProcess | None:
        """The running process, or None."""
        return self._process

    def client(self) -> Any:
        """A botocore client, for what the project itself never does: buckets, deletions."""
        environ = self.environ
        return botocore.session.Session().create_client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
            region_name=environ["AWS_REGION"],
        )

    def start(self, hold: Sequence[int] = (), notice: Callable[[str], None] = lambda _: None) -> S3Server:
        """Start the server and return once it answers and the bucket is there. Does nothing when it runs.

        `hold` as in ManagedProcess.start; `notice` is told in one sentence when clients must use another port than
        before. Raises SetupError for an unusable directory and ProcessError when the server does not come up.
        """
        if self._process is not None and self._process.poll() is None:
            return self
        try:
            (self._directory / "buckets").mkdir(parents=True, exist_ok=True)
            self._choose(notice)
            self._write_properties()
        except OSError as error:
            raise SetupError(
                f"the S3 server's directory {self._directory} cannot be used ({error.strerror}): make it writable, free"
                " space there, or choose another"
            ) from None
        process = ManagedProcess.start(self._command, self.log_path, cwd=self._directory, hold=hold)
        try:
            process.wait_ready(self._answers, START_SECONDS, "the S3 server")
            self._create_bucket()
        except BaseException:
            process.stop(0)
            raise
        self._process = process
        return self

    def stop(self) -> None:
        """Shut down. Does nothing when it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.stop()

    def kill(self) -> None:
        """End it like a crash."""
        process, self._process = self._process, None
        if process is not None:
            process.stop(0)

    def __enter__(self) -> S3Server:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _choose(self, notice: Callable[[str], None]) -> None:
        record = self._directory / "s3.json"
        try:
            saved: Mapping[str, Any] = json.loads(record.read_text(encoding="utf-8"))
            last, self._key, self._secret = int(saved["port"]), str(saved["key"]), str(saved["secret"])
            (self._port,) = free_or_other([last])
            if self._port != last:
                notice(f"port {last} is taken by another process: the S3 server now listens on {self._port}")
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            # the first start, or a torn file: a new port and new credentials harm nothing, objects are kept elsewhere
            (self._port,) = free_ports(1)
            self._key, self._secret = f"lineage-{secrets.token_hex(4)}", secrets.token_urlsafe(24)
        _write_private(record, json.dumps({"port": self._port, "key": self._key, "secret": self._secret}))
        # letters, digits, dashes and what an address has: nothing that a shell would read in another way
        _write_private(self.environ_path, "".join(f"export {name}={value}\n" for name, value in self.environ.items()))

    def _write_properties(self) -> None:
        values = {
            "s3proxy.endpoint": self.endpoint,
            "s3proxy.authorization": "aws-v2-or-v4",
            "s3proxy.identity": self._key,
            "s3proxy.credential": self._secret,
            "s3proxy.ignore-unknown-headers": "true",  # clients send checksums it does not know
            "jclouds.provider": "filesystem-nio2",
        }
        _write_private(self._directory / "s3proxy.conf", "".join(f"{key}={value}\n" for key, value in values.items()))

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.endpoint, timeout=_ANSWER_SECONDS):  # noqa: S310 - our own http address
                return True
        except urllib.error.HTTPError:
            return True  # it refuses, so it is there
        except (HTTPException, OSError):
            return False

    def _create_bucket(self) -> None:
        try:
            self.client().create_bucket(Bucket=BUCKET)
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
                raise ProcessError(f"the bucket {BUCKET} could not be made: {error}") from None
        except botocore.exceptions.BotoCoreError as error:
            raise ProcessError(f"the bucket {BUCKET} could not be made: {error}") from None


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, from its first byte on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "w", encoding="utf-8") as file:
        file.write(text)
