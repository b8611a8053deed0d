"""A PyFlink Table job as somebody may have had it for years, and the two lines that give it an offset index.

    pip install -e '.[flink,local]'
    export KAFKA_BOOTSTRAP_SERVERS=localhost:9092 KAFKA_TOPIC=orders LAKE=/tmp/lake
    python examples/existing_table_job.py

It reads a topic of text into Parquet files. With BOUNDED=1 it ends where the topic ends now; otherwise it runs on.
"""

import os
from pathlib import Path

from pyflink.common import Configuration
from pyflink.table import EnvironmentSettings, TableEnvironment

from lineage_pipeline.flink.add_index import IndexedSource, add_offset_index, check_one_source
from lineage_pipeline.local.jars import cache_folder, fetch_jars

TOPIC, LAKE = os.environ["KAFKA_TOPIC"], os.environ["LAKE"]


def environment() -> TableEnvironment:
    """The table environment; the connectors' jars may as well be in Flink's lib/."""
    configuration = Configuration()
    options = {
        "execution.checkpointing.interval": "10 s",
        "table.local-time-zone": "UTC",
        "pipeline.jars": ";".join(jar.as_uri() for jar in fetch_jars("flink", cache=cache_folder(os.environ))),
    }
    for key, value in options.items():
        configuration.set_string(key, value)
    settings = EnvironmentSettings.new_instance().in_streaming_mode().with_configuration(configuration).build()
    return TableEnvironment.create(settings)


def main() -> None:
    """The job: a source, a sink, an INSERT; and the index."""
    table = environment()
    bounded = ", 'scan.bounded.mode' = 'latest-offset'" if os.environ.get("BOUNDED") else ""
    # The columns from METADATA are what the index needs. A job that lacks them adds them to its source.
    table.execute_sql(f"""CREATE TEMPORARY TABLE orders (
        line STRING,
        `partition` INT METADATA VIRTUAL,
        `offset` BIGINT METADATA VIRTUAL,
        `timestamp` TIMESTAMP_LTZ(3) METADATA VIRTUAL
      ) WITH ('connector' = 'kafka', 'topic' = '{TOPIC}', 'format' = 'raw', 'scan.startup.mode' = 'earliest-offset',
        'properties.bootstrap.servers' = '{os.environ["KAFKA_BOOTSTRAP_SERVERS"]}', 'properties.group.id' = 'old-job',
        'properties.isolation.level' = 'read_committed'{bounded})""")
    table.execute_sql(f"""CREATE TEMPORARY TABLE lake (
        line STRING, kafka_partition INT, kafka_offset BIGINT, dt STRING
      ) PARTITIONED BY (dt)
      WITH ('connector' = 'filesystem', 'format' = 'parquet', 'path' = '{Path(LAKE).as_uri()}/table')""")

    statements = table.create_statement_set()
    statements.add_insert_sql(
        "INSERT INTO lake SELECT line, `partition`, `offset`, DATE_FORMAT(CURRENT_TIMESTAMP, 'yyyy-MM-dd') FROM orders"
    )
    source = IndexedSource("orders", TOPIC, partition="partition", offset="offset", timestamp="timestamp")
    writer = add_offset_index(table, statements, source, f"{Path(LAKE).as_uri()}/offset-index")

    if os.environ.get("CHECK"):  # in a test, never before executing
        check_one_source(statements)
        print("data and index read one source")
        return
    print(f"running as writer {writer}")
    statements.execute().wait()


if __name__ == "__main__":
    main()
