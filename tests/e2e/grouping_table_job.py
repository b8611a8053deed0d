"""A Table job with an aggregate and bundles of its own and two indexed topics; test_existing_table_job.py runs it.

It prints the aggregate's changes; it keeps nothing but the two indexes.
"""

import os
from pathlib import Path

from pyflink.common import Configuration
from pyflink.table import EnvironmentSettings, StatementSet, TableEnvironment

from lineage_pipeline.flink.add_index import IndexedSource, add_offset_index, check_one_source
from lineage_pipeline.flink.environment import prepare_jvm
from lineage_pipeline.local.jars import cache_folder, fetch_jars

TOPICS, LAKE = os.environ["TOPICS"].split(","), Path(os.environ["LAKE"])
OPTIONS = {
    "execution.checkpointing.interval": "2 s",
    "table.local-time-zone": "UTC",
    "table.exec.mini-batch.enabled": "true",
    "table.exec.mini-batch.allow-latency": "200 ms",
    "table.exec.mini-batch.size": "50",
}


def build() -> StatementSet:
    configuration = Configuration()
    for key, value in OPTIONS.items():
        configuration.set_string(key, value)
    settings = EnvironmentSettings.new_instance().in_streaming_mode().with_configuration(configuration).build()
    table = TableEnvironment.create(settings)
    statements = table.create_statement_set()
    for number, topic in enumerate(TOPICS):
        table.execute_sql(f"""CREATE TEMPORARY TABLE source_{number} (
            line STRING, kafka_partition INT METADATA FROM 'partition' VIRTUAL,
            kafka_offset BIGINT METADATA FROM 'offset' VIRTUAL,
            kafka_timestamp TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL
          ) WITH ('connector' = 'kafka', 'topic' = '{topic}', 'format' = 'raw', 'properties.group.id' = 'groups',
            'properties.bootstrap.servers' = '{os.environ["KAFKA_BOOTSTRAP_SERVERS"]}',
            'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset')""")
        add_offset_index(table, statements, IndexedSource(f"source_{number}", topic), f"{LAKE.as_uri()}/index")
    table.execute_sql("CREATE TEMPORARY TABLE counts (p INT, n BIGINT) WITH ('connector' = 'print')")
    statements.add_insert_sql(
        "INSERT INTO counts SELECT kafka_partition, COUNT(*) FROM source_0 GROUP BY kafka_partition"
    )
    for key, value in OPTIONS.items():
        assert table.get_config().get(key, "") == value, key  # the job's own settings stay
    return statements


def main() -> None:
    prepare_jvm(None, None, fetch_jars("flink", cache=cache_folder(os.environ)))
    checked = build()  # never what is executed later
    check_one_source(checked, besides=["source_1"])
    check_one_source(checked, besides=["source_0"])
    build().execute().wait()


if __name__ == "__main__":
    main()
