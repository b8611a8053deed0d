"""What several packages' tests share: the real broker, once per run. Nothing here skips: what is absent fails."""

from __future__ import annotations

import gc
import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from lineage_pipeline.local.broker import KafkaBroker
from lineage_pipeline.local.jars import cache_folder, fetch_jars
from lineage_pipeline.local.java import Java, find_java
from lineage_pipeline.local.s3_server import S3Server
from lineage_pipeline.settings import without_settings
from tests.flink_classes import archive_used
from tests.shared_service import shared

# How long an example takes says something of the machine, nothing of the code.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
# A test's JVM lives for a minute only: its second compiler and its collector's threads cost a third of a start's
# processor time, and the verification of 24,000 classes that nobody has changed costs a tenth (measured).
os.environ.setdefault(
    "JDK_JAVA_OPTIONS",
    "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote",
)


# Minutes each, the longest first: begun late, one of them would run alone at the end.
# Before them the one whose JVM says what classes a job's JVM loads: tests/flink_classes.py.
_LONGEST = ["test_decode_e2e", "test_changes", "test_up", "test_demo", "test_alerts", "test_expired_records"]
_LONGEST += ["test_dagster_process", "test_crashes", "test_formats", "test_harmed_lake"]
_LONGEST += ["test_existing_table_job", "test_causes"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that start the real stack come first: they wait much, so others run beside them, and none is the last.

    Behind them the simulation, a long file too.
    """

    def order(one: pytest.Item) -> tuple[bool, int, bool]:
        name = one.path.stem
        length = _LONGEST.index(name) if name in _LONGEST else len(_LONGEST)
        return one.get_closest_marker("e2e") is None, length, "simulation" not in one.path.parts

    items.sort(key=order)


def pytest_collection_finish() -> None:
    """What imports and collection left is looked through for garbage no more, and the rest not after every breath."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def pytest_unconfigure() -> None:
    """At the interpreter's end everything is let go again: nanobind reports what is not as leaked."""
    gc.unfreeze()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With LINEAGE_NO_SKIPS set, as CI does, a run that skipped a test has failed: nobody looked there."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("LINEAGE_NO_SKIPS") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def without_settings_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test says itself which settings it runs with."""
    for name in set(os.environ) - set(without_settings(os.environ)):
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def java() -> Java:
    return find_java(os.environ)


@pytest.fixture(scope="session")
def kafka_jars() -> list[Path]:
    """The broker's jars, from the user's own cache; the first run fetches them."""
    return fetch_jars("kafka", cache=cache_folder(os.environ))


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this run have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own


@pytest.fixture(scope="session", autouse=True)
def classes_of_flink(run_folder: Path) -> Iterator[None]:
    """Flink's JVMs share the classes that the first of them loaded."""
    with archive_used(run_folder):
        yield


@pytest.fixture(scope="session")
def broker(run_folder: Path, java: Java, kafka_jars: list[Path]) -> Iterator[KafkaBroker]:
    """A running broker that all tests share: use `topic_name` for topics and groups of your own.

    In the workers that only found it, it has no `process`.
    """
    # Retention looks every second, so that tests that wait for it wait for the broker, not for a clock.
    properties = {"log.retention.check.interval.ms": "1000", "log.initial.task.delay.ms": "1000"}
    # It mostly waits, and threads that look for work cost as much as the work.
    properties |= {"num.io.threads": "3", "num.network.threads": "2", "background.threads": "2"}

    def start(state: Path) -> KafkaBroker:
        return KafkaBroker(state, java, kafka_jars, properties=properties)

    def attach(state: Path) -> KafkaBroker:
        found, ports = start(state), json.loads((state / "broker.json").read_text())
        found._ports = (ports["port"], ports["controller_port"])
        return found

    with shared(run_folder / "broker", start, attach) as running:
        yield running


@pytest.fixture(scope="session")
def s3(run_folder: Path, java: Java) -> Iterator[S3Server]:
    """A running S3 server with an empty bucket `flink-data` that all tests share: use prefixes of your own."""
    jars = fetch_jars("s3proxy", cache=cache_folder(os.environ))

    def start(state: Path) -> S3Server:
        return S3Server(state, java, jars)

    def attach(state: Path) -> S3Server:
        found, saved = start(state), json.loads((state / "s3.json").read_text())
        found._port, found._key, found._secret = saved["port"], saved["key"], saved["secret"]
        return found

    with shared(run_folder / "s3", start, attach) as running:
        yield running


@pytest.fixture
def topic_name(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Makes names that no other test uses, and that say which test they are of."""

    def make() -> str:
        return f"{request.node.originalname[:80]}-{uuid.uuid4().hex[:8]}"

    return make
