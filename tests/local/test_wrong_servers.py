"""Another program's server on a port that should be ours: never taken for ours, and never a traceback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lineage_pipeline.errors import JobError, ProcessError
from lineage_pipeline.flink.cluster import Cluster
from lineage_pipeline.local.dagster_process import DagsterProcess
from lineage_pipeline.local.flink_cluster import FlinkCluster
from lineage_pipeline.local.java import Java
from lineage_pipeline.local.job_process import JobProcess
from lineage_pipeline.local.s3_server import S3Server

# what a gRPC server says to a request over HTTP/1, no line at all, and a line without an end
NONSENSE = [b"\x00\x00\x1e\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00Unexpected HTTP/1.x request", b"", b"x" * 70_000]
NONSENSE += [b"HTTP/1.0 200 OK\r\n\r\n" + body for body in (b"[1]", b"null", b'"text"')]


@pytest.fixture(params=NONSENSE, ids=["grpc", "nothing", "endless", "list", "null", "text"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Of a server that speaks no HTTP, or says something else than is asked for."""

    def answer() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)
                connection.sendall(request.param)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def _job(port: int, folder: Path, _java: Java) -> bool:
    return JobProcess(folder / "lineage.yaml", folder, port, {})._runs()


def _cluster(port: int, folder: Path, java: Java) -> bool:
    cluster = FlinkCluster(folder, java)
    cluster._rest = port
    return cluster._ready()


def _dagster(port: int, folder: Path, _java: Java) -> bool:
    return DagsterProcess(folder / "lineage.yaml", folder, folder, port, {})._answers()


def _s3(port: int, folder: Path, java: Java) -> bool:
    server = S3Server(folder, java, [])
    server._port = port
    return server._answers()


@pytest.mark.parametrize("probe", [_job, _cluster, _dagster])
def test_it_is_not_the_one_that_is_waited_for(
    probe: Callable[[int, Path, Java], bool], port: int, tmp_path: Path, java: Java
):
    assert probe(port, tmp_path, java) is False


@pytest.mark.parametrize("port", NONSENSE[:3], indirect=True)
def test_what_speaks_no_http_is_no_s3_server(port: int, tmp_path: Path, java: Java):
    assert _s3(port, tmp_path, java) is False


def test_a_cluster_at_a_wrong_address_is_named(port: int):
    with pytest.raises(JobError, match="does not answer"):
        Cluster(f"http://127.0.0.1:{port}", lambda _seconds: None)._ask("/jobs/overview")


def test_a_dagster_at_a_wrong_address_is_named(port: int, tmp_path: Path):
    dagster = DagsterProcess(tmp_path / "lineage.yaml", tmp_path, tmp_path, port, {})
    with pytest.raises(ProcessError, match="does not answer"):
        dagster.launch_job("summary")
