"""Everything the location defines, held against definitions.json: a change there is seen by whoever reviews it.

To take over a wanted change: `python -m tests.lineage_dagster.test_definitions`.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import dagster as dg

from tests.lineage_dagster.lake import Lake

SNAPSHOT = Path(__file__).with_name("definitions.json")
TOPICS = (
    {"name": "orders-v1", "owners": ["team:shop"], "audit": {"books": ["index", "broker"], "every": 300}},
    {"name": "raw.clicks", "format": "raw", "audit": {"books": ["index"]}},
)


def described(definitions: dg.Definitions) -> dict[str, Any]:
    """Names and relations, and what people see of them, without paths."""
    graph = definitions.resolve_asset_graph()
    repository = definitions.get_repository_def()
    return {
        "assets": {
            key.to_user_string(): {
                "deps": sorted(parent.to_user_string() for parent in graph.get(key).parent_keys),
                "group": graph.get(key).group_name,
                "kinds": sorted(graph.get(key).kinds),
                "owners": sorted(graph.get(key).owners),
                "materializable": graph.get(key).is_materializable,
                "pools": sorted(graph.get(key).pools or ()),
                "tags": {name: value for name, value in graph.get(key).tags.items() if "dagster/" not in name},
                "fails_after": _seconds(graph.get(key).freshness_policy),
                "columns": _columns(graph.get(key).metadata),
                "description": graph.get(key).description,
            }
            for key in sorted(graph.get_all_asset_keys())
        },
        "checks": {
            f"{key.asset_key.to_user_string()}: {key.name}": {
                "blocking": graph.get_check_spec(key).blocking,
                "description": graph.get_check_spec(key).description,
            }
            for key in sorted(graph.asset_check_keys, key=str)
        },
        "jobs": sorted(name for name in repository.job_names if not name.startswith("__")),
        "schedules": {
            one.name: [one.cron_schedule, one.job_name, one.default_status.value] for one in repository.schedule_defs
        },
        "sensors": {
            one.name: [one.minimum_interval_seconds, one.default_status.value] for one in repository.sensor_defs
        },
    }


def _seconds(policy: Any) -> float | None:
    return None if policy is None else policy.fail_window.to_timedelta().total_seconds()


def _columns(metadata: Any) -> list[str]:
    schema = metadata.get("dagster/column_schema")
    return [] if schema is None else [f"{one.name} {one.type}" for one in schema.columns]


def test_the_location_defines_what_was_agreed(lake: Lake):
    assert described(lake.definitions(*TOPICS)) == json.loads(SNAPSHOT.read_text())


def test_the_verdict_is_the_first_check_that_opens(lake: Lake):
    graph = lake.definitions(*TOPICS).resolve_asset_graph()
    names = sorted(key.name for key in graph.asset_check_keys if key.asset_key == dg.AssetKey(["audit", "orders-v1"]))
    assert names[0] == "completeness"


def test_a_record_schema_that_cannot_be_read_keeps_nobody_from_the_audit(lake: Lake):
    broken = {"name": "t", "schema": "nowhere.avsc"}
    columns = described(lake.definitions(broken))["assets"]["lake/t"]["columns"]
    assert columns == []


def test_columns_of_key_and_headers_are_in_the_catalog_as_the_job_writes_them(lake: Lake):
    keyed = {"name": "t", "format": "raw", "key_format": "string", "headers": True}
    columns = described(lake.definitions(keyed))["assets"]["lake/t"]["columns"]
    assert columns[-3:] == ["kafka_key binary", "kafka_key_text string", "kafka_headers map<string, binary>"]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        SNAPSHOT.write_text(json.dumps(described(Lake(Path(folder)).definitions(*TOPICS)), indent=1) + "\n")
