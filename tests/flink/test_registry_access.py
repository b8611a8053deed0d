"""The registry at the job's edges: asked before a start, its secrets with the workers, nothing of them in a plan."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

import lineage_pipeline
from lineage_pipeline.core.record_schema import record_schema
from lineage_pipeline.errors import RegistryRefusedError, SchemaError, SettingsError
from lineage_pipeline.flink.environment import JobConfig, flink_options
from lineage_pipeline.flink.failures import failure_sentence
from lineage_pipeline.flink.job_config import JobOptions, job_config
from lineage_pipeline.flink.registry_check import check_registry
from lineage_pipeline.flink.tables import JobTables
from lineage_pipeline.flink.worker_environment import hide_secrets, worker_environment
from lineage_pipeline.local.demo_record import schema_text
from lineage_pipeline.registry_settings import RegistrySettings
from lineage_pipeline.settings import load_settings
from tests.registry_server import RegistryServer

CANARY = "me:planted-password"
DEMO_SCHEMA = Path(lineage_pipeline.__file__).parent / "local" / "demo_record.avsc"


def settings(url: str, **more: object) -> RegistrySettings:
    return RegistrySettings.model_validate({"url": url, **more})


def check(registry: RegistrySettings, *, on_workers_only: bool = False) -> list[str]:
    said: list[str] = []
    check_registry(registry, said.append, on_workers_only=on_workers_only)
    return said


def test_a_registry_that_answers_is_no_news() -> None:
    with RegistryServer() as server:
        assert check(settings(server.url)) == []


def test_a_registry_that_is_away_is_told_with_what_will_happen_and_stops_no_start() -> None:
    with RegistryServer() as server:
        url = server.url
    (said,) = check(settings(url, max_wait=7))
    assert "did not answer" in said
    assert "wait 7 s" in said
    assert "quarantine" in said


@pytest.mark.parametrize(("path", "user", "said"), [("/wrong", None, "path in its url"), ("", "me:x", "credentials")])
def test_a_wrong_path_or_user_stops_the_start(path: str, user: str | None, said: str) -> None:
    with RegistryServer(user=user) as server, pytest.raises(RegistryRefusedError, match=said):
        check(settings(server.url + path))


def test_a_secret_that_only_the_workers_have_is_no_reason_not_to_submit() -> None:
    registry = settings("http://localhost:1", properties={"basic.auth.user.info": {"env": "NOWHERE_TO_BE_FOUND"}})
    with pytest.raises(SettingsError, match="NOWHERE_TO_BE_FOUND is not set"):
        check(registry)
    (said,) = check(registry, on_workers_only=True)
    assert "NOWHERE_TO_BE_FOUND" in said


def test_hidden_secrets_are_out_of_the_environment_but_the_worker_in_this_process_has_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REGISTRY_USER", CANARY)
    monkeypatch.setenv("HARMLESS", "")
    hide_secrets([CANARY])
    assert "REGISTRY_USER" not in os.environ
    assert "HARMLESS" in os.environ
    assert worker_environment()["REGISTRY_USER"] == CANARY
    with RegistryServer(user=CANARY) as server:
        registry = settings(server.url, properties={"basic.auth.user.info": {"env": "REGISTRY_USER"}})
        assert check(registry) == []


def test_what_travels_to_the_workers_holds_the_reference_and_not_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    from lineage_pipeline.flink.decode_function import BatchDecode  # noqa: PLC0415 - imports pyflink

    monkeypatch.setenv("REGISTRY_USER", CANARY)
    registry = settings("http://registry:1", properties={"basic.auth.user.info": {"env": "REGISTRY_USER"}})
    shipped = pickle.dumps(BatchDecode("avro-confluent", schema_text(), registry))
    assert b"REGISTRY_USER" in shipped
    assert b"planted" not in shipped


def test_the_worker_takes_the_secret_from_its_own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from lineage_pipeline.flink.decode_function import BatchDecode  # noqa: PLC0415 - imports pyflink

    with RegistryServer(user=CANARY) as server:
        number = server.register("t-value", schema_text())
        properties = {"basic.auth.user.info": {"env": "WORKERS_OWN"}}
        travelled = pickle.dumps(
            BatchDecode("avro-confluent", schema_text(), settings(server.url, properties=properties))
        )
        lacking = pickle.loads(travelled)
        with pytest.raises(SettingsError, match="WORKERS_OWN is not set"):
            lacking.open(None)
        monkeypatch.setenv("WORKERS_OWN", CANARY)
        worker = pickle.loads(travelled)
        worker.open(None)
        frame = worker.eval([b"\0" + number.to_bytes(4, "big") + b"\x02a\x02", b"\0\0\0\0\x63"])
    errors = list(frame["error"])
    assert errors[0] is None
    assert errors[1].startswith("unknown-schema: the registry at ")


def test_checkpoints_may_take_as_long_as_a_record_may_wait() -> None:
    schema = record_schema("avro-confluent", schema_text())
    tables = JobTables({}, "file:///o", "file:///q", "file:///i")
    config = JobConfig("t", schema, tables, 60.0, registry=settings("http://r:1", max_wait=1000))
    assert flink_options(config, "file:///c", None)["execution.checkpointing.timeout"] == "1600 s"


def test_a_topic_of_that_format_needs_a_registry_and_a_schema() -> None:
    topic = load_settings({}).topic().model_copy(update={"format": "avro-confluent"})
    with pytest.raises(SchemaError, match="needs `schema:`"):
        job_config(load_settings({}), topic, JobOptions())
    with pytest.raises(SettingsError, match="SCHEMA_REGISTRY_URL"):
        job_config(load_settings({}), topic.model_copy(update={"record_schema": DEMO_SCHEMA}), JobOptions())


def test_what_a_worker_raised_of_our_own_is_the_sentence_that_the_command_says() -> None:
    trace = (
        "org.apache.flink.runtime.JobException: Recovery is suppressed\n"
        "Caused by: java.lang.RuntimeException: Error received from SDK harness for instruction 1: Traceback\n"
        '  File "x.py", line 1\n'
        "lineage_pipeline.errors.SettingsError: the environment variable X is not set, but the settings refer to it\n"
    )
    assert failure_sentence("t", trace) == (
        "the job for t failed: the environment variable X is not set, but the settings refer to it"
    )
