"""The lock of the jars: what it holds, and that nothing else is taken for one."""

from __future__ import annotations

import pytest

from lineage_pipeline.errors import SetupError
from lineage_pipeline.local.jar_lock import LockedJar, format_lock, parse_lock
from lineage_pipeline.local.jars import locked_jars

HASH = "0123456789abcdef" * 4


def test_the_packaged_lock_holds_the_broker_with_its_closure():
    names = {jar.artifact for jar in locked_jars("kafka")}
    assert {"kafka_2.13", "kafka-clients", "scala-library", "log4j-slf4j-impl"} <= names
    assert len(names) > 40


def test_the_packaged_lock_holds_the_connectors_of_the_job():
    assert {jar.coordinates.split(":", 1)[1] for jar in locked_jars("flink")} == {
        "flink-sql-connector-kafka:5.0.0-2.2",
        "flink-sql-parquet:2.3.0",
        "hadoop-client-api:3.4.2",
        "hadoop-client-runtime:3.4.2",
        "zstd-jni:1.5.7-17",
    }


def test_a_classifier_is_part_of_coordinates_and_path():
    (jar,) = locked_jars("s3proxy")
    assert jar.coordinates == "org.gaul:s3proxy:4.0.0:jar-with-dependencies"
    assert str(jar.path) == "org/gaul/s3proxy/4.0.0/s3proxy-4.0.0-jar-with-dependencies.jar"


def test_what_is_written_is_what_is_read():
    jars = (LockedJar("a.b", "c", "1", "", HASH, 3), LockedJar("a.b", "d", "1", "x", HASH, 4))
    assert parse_lock(format_lock({"one": jars, "two": jars[:1]})) == {"one": jars, "two": jars[:1]}


def test_an_unknown_set_is_named_with_the_known_ones():
    with pytest.raises(SetupError, match=r"no set \[nonsense\], only kafka, flink"):
        locked_jars("nonsense")


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (f"a:b:1 {HASH} 1", "line 1: a jar stands before the first"),
        (f"[x]\na:b {HASH} 1", "line 2: 'a:b' is not group:artifact:version"),
        (f"[x]\na:../b:1 {HASH} 1", "is not group:artifact:version"),
        (f"[x]\na..b:c:1 {HASH} 1", "is not group:artifact:version"),
        (f"[x]\na:b:1 {HASH[1:]} 1", "is not a SHA-256"),
        (f"[x]\na:b:1 {HASH} 0", "is not a SHA-256 and a number of bytes"),
        (f"[x]\na:b:1 {HASH}", "expected `coordinates sha256 bytes`"),
        ("[x]\n[x]", "is there twice"),
        ("[x]\n", r"the set \[x\] is empty"),
    ],
)
def test_a_malformed_lock_is_refused(lines: str, problem: str):
    with pytest.raises(SetupError, match=problem):
        parse_lock(lines)
