"""Where the connectors' jars are: on the class path of a mini cluster, brought along to another cluster."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lineage_pipeline.core.record_schema import record_schema
from lineage_pipeline.flink import environment
from lineage_pipeline.flink.environment import JobConfig, flink_options, prepare_jvm
from lineage_pipeline.flink.tables import JobTables

JARS = (Path("/jars/kafka.jar"), Path("/jars/par quet.jar"))
ODD = Path("/odd:place/kafka.jar")  # no class path can have it


def brought(jars: tuple[Path, ...], cluster_url: str | None = None) -> list[str]:
    tables = JobTables({}, "file:///o", "file:///q", "file:///i")
    config = JobConfig("t", record_schema("raw"), tables, 60.0, jars=jars, cluster_url=cluster_url)
    return [one for one in flink_options(config, "file:///c", None).get("pipeline.jars", "").split(";") if one]


@pytest.fixture
def class_path(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("HADOOP_CLASSPATH", "LOG4J_PROPERTIES", "JAVA_HOME"):
        monkeypatch.setenv(name, "")
    monkeypatch.delenv("HADOOP_CLASSPATH")
    return monkeypatch


def test_a_mini_cluster_has_its_jars_once(class_path: pytest.MonkeyPatch) -> None:
    prepare_jvm(None, None, JARS)
    assert os.environ["HADOOP_CLASSPATH"] == "/jars/kafka.jar:/jars/par quet.jar"
    assert brought(JARS) == []


def test_a_jar_that_fits_no_class_path_is_brought_along(class_path: pytest.MonkeyPatch) -> None:
    prepare_jvm(None, None, (ODD,))
    assert "HADOOP_CLASSPATH" not in os.environ
    assert brought((*JARS, ODD)) == ["file:///odd%3Aplace/kafka.jar"]


def test_what_a_person_has_put_on_the_class_path_stays_behind_ours_however_often_a_job_starts(
    class_path: pytest.MonkeyPatch,
) -> None:
    class_path.setenv("HADOOP_CLASSPATH", "/their/hadoop/*")
    for _ in range(2):
        prepare_jvm(None, None, JARS)
    assert os.environ["HADOOP_CLASSPATH"] == "/jars/kafka.jar:/jars/par quet.jar:/their/hadoop/*"


@pytest.mark.parametrize("theirs", [None, "/their/conf"])
def test_the_usual_configuration_of_hadoop_is_found_as_before(
    class_path: pytest.MonkeyPatch, tmp_path: Path, theirs: str | None
) -> None:
    class_path.setattr(environment, "_HADOOP_CONF", tmp_path)
    class_path.setenv("HADOOP_CONF_DIR", theirs or "")
    if theirs is None:
        class_path.delenv("HADOOP_CONF_DIR")
    prepare_jvm(None, None, JARS)
    assert os.environ["HADOOP_CONF_DIR"] == (theirs or str(tmp_path))


def test_another_cluster_is_brought_everything_and_the_python_operators() -> None:
    kafka, parquet, python = brought(JARS, "http://host:8081")
    assert (kafka, parquet) == ("file:///jars/kafka.jar", "file:///jars/par%20quet.jar")
    assert "flink-python" in python
