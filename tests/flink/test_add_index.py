"""Our index in somebody's job: what is set, what is left as it was, what is refused, and the SQL that is added."""

from __future__ import annotations

import pytest

from lineage_pipeline.errors import JobError
from lineage_pipeline.flink.add_index import (
    IndexedSource,
    check_one_source,
    index_insert,
    index_options,
    index_statements,
)

INTERVAL = "execution.checkpointing.interval"
MINI_BATCH = "table.exec.mini-batch"


def test_a_job_gets_what_an_exact_index_needs() -> None:
    assert index_options(lambda key: "10 s" if key == INTERVAL else "") == {
        f"{MINI_BATCH}.enabled": "true",
        f"{MINI_BATCH}.allow-latency": "3600000 ms",
        f"{MINI_BATCH}.size": "1000000",
        "table.optimizer.reuse-source-enabled": "true",
        "table.optimizer.reuse-sub-plan-enabled": "true",
    }


@pytest.mark.parametrize(
    ("interval", "latency"), [("30 min", "180000000 ms"), ("90000", "9000000 ms"), ("1 minute", "6000000 ms")]
)
def test_bundles_outlast_the_interval_of_checkpoints(interval: str, latency: str) -> None:
    assert index_options(lambda key: interval if key == INTERVAL else "")[f"{MINI_BATCH}.allow-latency"] == latency


def test_what_the_job_has_set_for_its_own_bundles_stays() -> None:
    job = {INTERVAL: "10 s", f"{MINI_BATCH}.allow-latency": "5 s", f"{MINI_BATCH}.size": "20"}
    found = index_options(lambda key: job.get(key, ""))
    assert (found[f"{MINI_BATCH}.allow-latency"], found[f"{MINI_BATCH}.size"]) == ("5 s", "20")


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        (INTERVAL, "", "takes no checkpoints"),
        (INTERVAL, "0 ms", "takes no checkpoints"),
        (INTERVAL, "a while", "no duration"),
        ("execution.checkpointing.unaligned.enabled", "true", "unaligned"),
        ("execution.checkpointing.mode", "AT_LEAST_ONCE", "AT_LEAST_ONCE"),
        (f"{MINI_BATCH}.enabled", "false", "sets table.exec.mini-batch.enabled to false"),
        ("table.optimizer.reuse-source-enabled", "false", "have to come from one scan"),
        ("table.optimizer.reuse-sub-plan-enabled", "FALSE", "have to come from one scan"),
    ],
)
def test_what_would_make_the_index_prove_nothing_is_refused(key: str, value: str, text: str) -> None:
    job = {INTERVAL: "10 s", key: value}
    with pytest.raises(JobError, match=text):
        index_options(lambda one: job.get(one, ""))


def test_names_are_quoted_and_parted_at_dots_outside_of_backticks() -> None:
    source = IndexedSource("`my.db`.orders", "orders", partition="meta.partition", offset="`the ``real`` offset`")
    first = index_statements(source, "s3://lake/index", 1000)[0]
    assert "FROM `my.db`.`orders`" in first
    assert "CAST(`meta`.`partition` AS INT)" in first
    assert "CAST(`the ``real`` offset` AS BIGINT)" in first


@pytest.mark.parametrize("name", ["", "a..b", ".a", "`open", "a`b"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(JobError, match="no name of a table or column"):
        index_statements(IndexedSource(name, "orders"), "s3://lake/index", 1000)


def test_a_condition_of_the_job_is_taken_as_it_is() -> None:
    source = IndexedSource("orders", "orders", quarantined="decoded IS NULL OR islands > 3")
    assert "CASE WHEN decoded IS NULL OR islands > 3 THEN" in index_statements(source, "s3://lake/index", 1000)[0]


def test_two_topics_of_one_job_do_not_share_a_name() -> None:
    def created(topic: str) -> set[str]:
        statements = index_statements(IndexedSource(topic, topic), "s3://lake/index", 1000)
        return {statement.split()[3] for statement in statements}

    assert len(created("orders.v1")) == 7
    assert not created("orders.v1") & created("returns")
    assert all(name.startswith("lineage_orders_v1_") for name in created("orders.v1"))


def test_writers_and_topics_are_written_as_they_are() -> None:
    insert = index_insert(IndexedSource("orders", "orders-1"), "Zoë's job \\ 7")
    assert "CAST('Zoë''s job \\ 7' AS STRING)" in insert
    assert "CAST('orders-1' AS STRING)" in insert


class Explained:
    """A statement set that explains itself with these scans."""

    def __init__(self, *scans: str) -> None:
        self.text = "== Abstract ==\nTableSourceScan(table=[[c, d, no]])\n== Optimized Execution Plan ==\n" + "\n".join(
            f"TableSourceScan(table=[[default_catalog, default_database, {one}]], fields=[x])" for one in scans
        )

    def explain(self) -> str:
        return self.text


def test_index_and_data_come_from_one_scan_beside_tables_that_are_joined() -> None:
    check_one_source(Explained("orders"))  # type: ignore[arg-type]
    check_one_source(Explained("orders, metadata=[offset]", "customers"), besides=["customers"])  # type: ignore[arg-type]
    for scans in (("orders", "orders, metadata=[offset]"), ("orders", "customers"), ()):
        with pytest.raises(JobError, match="must come from one scan"):
            check_one_source(Explained(*scans))  # type: ignore[arg-type]
