"""The embedded broker: one Kafka node in KRaft mode, on 127.0.0.1 only, with its data under a state directory.

Nothing about it is simulated: it is Apache Kafka's own server. It resumes what the directory holds: cluster id, topics,
groups, and its ports when they are free.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import final

from lineage_pipeline.errors import PortTakenError, ProcessError, SetupError
from lineage_pipeline.local.java import Java
from lineage_pipeline.local.ports import HOST, free_or_other, free_ports, is_listening, require_free
from lineage_pipeline.local.processes import ManagedProcess, log_tail
from lineage_pipeline.local.topics import cluster_id_of

START_SECONDS = 60.0
STOP_SECONDS = 15.0
_FORMAT_SECONDS = 60
# The first compiler alone: on two shared cores it halved the start and did not cost throughput (58,000 records/s
# against 46,000 for half a million, since the second one competes for the cores).
_JVM_OPTIONS = (
    "-Xms64m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Dfile.encoding=UTF-8",
    "-Dorg.apache.logging.log4j.level=INFO",
)

# One node must be every replica, and nobody should wait for members that never come.
_PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "log.dirs": "data",
    "auto.create.topics.enable": "false",
    # An idle controller writes a record of nothing twice a second by default: a third of what an idle broker costs.
    "metadata.max.idle.interval.ms": "5000",
    "default.replication.factor": "1",
    # After a crash the same node may register again only once its old session is over; 9 s by default.
    "broker.session.timeout.ms": "5000",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
}


@final
class KafkaBroker:
    """A broker whose files are in `directory`: data/, server.properties, broker.json (its ports) and broker.log.

    A context manager: started on entry, stopped on exit. `properties` are further server properties. `port` pins the
    clients' port; without it the last one is used again, or another one if that is taken.
    """

    def __init__(
        self,
        directory: Path,
        java: Java,
        jars: Sequence[Path],
        *,
        properties: Mapping[str, str] | None = None,
        port: int | None = None,
    ) -> None:
        self._directory = directory.absolute()
        self._java = java
        self._jars = jars
        self._properties = dict(properties or {})
        self._pinned_port = port
        self._ports: tuple[int, int] | None = None  # clients, controller
        self._process: ManagedProcess | None = None

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect: `127.0.0.1:port`. The broker must have been started once."""
        if self._ports is None:
            raise ProcessError("the broker has no port yet: start it first")
        return f"{HOST}:{self._ports[0]}"

    @property
    def log_path(self) -> Path:
        """The broker's log."""
        return self._directory / "broker.log"

    @property
    def process(self) -> ManagedProcess | None:
        """The running process, or None."""
        return self._process

    @property
    def cluster_id(self) -> str | None:
        """The id of the cluster that the directory holds, or None before the first start. Raises SetupError if torn."""
        try:
            text = (self._directory / "data" / "meta.properties").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line).get("cluster.id")
        if not found:
            raise SetupError(f"{self._directory}/data/meta.properties names no cluster: delete {self._directory}")
        return found

    def start(self, hold: Sequence[int] = (), notice: Callable[[str], None] = lambda _: None) -> KafkaBroker:
        """Start the broker and return once it answers as the cluster it should be. Does nothing when it runs.

        `hold` as in ManagedProcess.start; `notice` is told in one sentence when clients must use another port than
        before. Raises PortTakenError for a pinned port in use, SetupError for an unusable directory, ProcessError when
        the broker does not come up.
        """
        if self._process is not None and self._process.poll() is None:
            return self
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._ports = self._choose_ports(notice)
            self._write_properties()
            if self.cluster_id is None:
                self._format()
        except OSError as error:
            raise SetupError(
                f"the broker's directory {self._directory} cannot be used ({error.strerror}): make it writable, free "
                "space there, or choose another"
            ) from None
        command = [*self._java_command(), "kafka.Kafka", "server.properties"]
        process = ManagedProcess.start(command, self.log_path, cwd=self._directory, hold=hold, grace=STOP_SECONDS)
        try:
            process.wait_ready(self._answers, START_SECONDS, "the Kafka broker")
        except BaseException:
            process.stop(0)
            raise
        self._process = process
        return self

    def stop(self) -> None:
        """Shut down cleanly. Does nothing when it does not run."""
        self._end(STOP_SECONDS)

    def kill(self) -> None:
        """End it like a crash: SIGKILL, nothing flushed by the broker."""
        self._end(0)

    def __enter__(self) -> KafkaBroker:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _end(self, grace: float) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.stop(grace)

    def _answers(self) -> bool:
        """Whether our cluster answers; another one on this port would be a wrong answer, not a late one."""
        assert self._ports is not None
        if not is_listening(self._ports[0]):
            return False
        found = cluster_id_of(self.bootstrap_servers)
        if found is not None and found != self.cluster_id:
            raise PortTakenError(
                f"another Kafka cluster ({found}) answers on {self.bootstrap_servers}: end it, or choose another port"
            )
        return found is not None

    def _choose_ports(self, notice: Callable[[str], None]) -> tuple[int, int]:
        record = self._directory / "broker.json"
        try:
            saved = json.loads(record.read_text(encoding="utf-8"))
            last = (int(saved["port"]), int(saved["controller_port"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            last = None  # the first start, or a torn file: new ports harm nothing, data is kept elsewhere
        clients, controller = free_or_other(last) if last else free_ports(2)
        if self._pinned_port is not None:
            clients = require_free(self._pinned_port, "the broker's port")
        elif last and clients != last[0]:
            notice(f"port {last[0]} is taken by another process: the broker now listens on {clients}")
        record.write_text(json.dumps({"port": clients, "controller_port": controller}), encoding="utf-8")
        return clients, controller

    def _write_properties(self) -> None:
        assert self._ports is not None
        clients, controller = self._ports
        values = {
            **_PROPERTIES,
            "listeners": f"PLAINTEXT://{HOST}:{clients},CONTROLLER://{HOST}:{controller}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{clients}",
            "controller.quorum.voters": f"1@{HOST}:{controller}",
            **self._properties,
        }
        text = "".join(f"{key}={value}\n" for key, value in values.items())
        (self._directory / "server.properties").write_text(text, encoding="utf-8")

    def _format(self) -> None:
        """Make the directory a new cluster's. Kafka writes meta.properties last, so a killed format starts over."""
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # A leading dash would be read as an option.
        cluster = cluster.replace("-", "A", 1) if cluster.startswith("-") else cluster
        options = ["format", "--cluster-id", cluster, "--config", "server.properties"]
        with self.log_path.open("ab") as log:
            try:
                done = subprocess.run(
                    [*map(str, self._java_command()), "kafka.tools.StorageTool", *options],
                    cwd=self._directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    timeout=_FORMAT_SECONDS, check=False,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                raise ProcessError(f"the broker's storage was not formatted within {_FORMAT_SECONDS} s") from None
        if done.returncode != 0 or self.cluster_id is None:
            raise ProcessError(f"the broker's storage could not be formatted{log_tail(self.log_path)}")

    def _java_command(self) -> list[str | Path]:
        unusable = [jar for jar in self._jars if os.pathsep in str(jar)]
        if unusable:
            raise SetupError(
                f"Java cannot use the path {unusable[0]}: set LINEAGE_CACHE to a folder without {os.pathsep!r} in it"
            )
        return [self._java.executable, *_JVM_OPTIONS, "-cp", os.pathsep.join(map(str, self._jars))]
