"""A lake on disk with real Parquet index files, and audits of it through Dagster in this process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from lineage_dagster.build import build_defs
from lineage_dagster.names import COMPLETENESS, op_name
from lineage_dagster.triggers import AUDIT_JOB
from lineage_pipeline.settings import Settings, load_settings

_MILLIS = pa.timestamp("ms", tz="UTC")
_INDEX = pa.schema(
    [
        *(("kafka_partition", pa.int32()), ("min_offset", pa.int64()), ("max_offset", pa.int64())),
        *(("record_count", pa.int64()), ("window_start", _MILLIS)),
    ]
)
_OURS = pa.schema(
    [
        ("quarantined_count", pa.int64()),
        *(("window_end", _MILLIS), ("max_timestamp", _MILLIS)),
        *(("leader_epoch", pa.int32()), ("writer", pa.string())),
    ]
)


@dataclass(frozen=True)
class Checked:
    """One run: whether it succeeded, and its check evaluations by name."""

    success: bool
    checks: Mapping[str, dg.AssetCheckEvaluation]

    @property
    def verdict(self) -> dg.AssetCheckEvaluation:
        return self.checks[COMPLETENESS]


class Lake:
    """`directory`/lake and `directory`/lineage.yaml."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = directory / "lake"
        self._files = 0

    def index(
        self, topic: str, runs: Iterable[tuple[int, int, int]], day: datetime | None = None, quarantined: int = 0
    ) -> Path:
        """Write one index file with a row for each (partition, start, end), half-open; return its path.

        It lies in the directory of `day`, today's by default. So many records of each row went to quarantine.
        """
        rows = list(runs)
        self._files += 1
        now = datetime.now(timezone.utc)
        folder = self.root / "offset-index" / f"kafka_topic={topic}" / f"dt={day or now:%Y-%m-%d}"
        folder.mkdir(parents=True, exist_ok=True)
        columns = [
            [partition for partition, _, _ in rows],
            [start for _, start, _ in rows],
            [end - 1 for _, _, end in rows],
            [end - start for _, start, end in rows],
            [now for _ in rows],
        ]
        fields = list(_INDEX)
        if quarantined:  # a file has all of the project's columns or none
            columns += [[quarantined for _ in rows], *([now for _ in rows] for _ in range(2)), [0] * len(rows)]
            columns.append(["test" for _ in rows])
            fields += _OURS
        path = folder / f"part-{self._files}.parquet"
        pq.write_table(pa.table(columns, schema=pa.schema(fields)), path)
        return path

    def settings(self, *topics: str | Mapping[str, Any], **more: Any) -> Settings:
        """Settings for topics audited by the index alone, unless the mapping says otherwise."""
        listed = [
            {"audit": {"books": ["index"]}, **({"name": topic} if isinstance(topic, str) else topic)}
            for topic in topics
        ]
        path = self.directory / "lineage.yaml"
        path.write_text(yaml.safe_dump({"lake": str(self.root), "topics": listed, **more}))
        return load_settings({}, path)

    def definitions(self, *topics: str | Mapping[str, Any], **more: Any) -> dg.Definitions:
        return build_defs(self.settings(*topics, **more))

    def audit(self, definitions: dg.Definitions, topic: str, instance: dg.DagsterInstance, **config: Any) -> Checked:
        """Materialise audit/<topic> as sensors and schedules do, with the location's own executor."""
        job = definitions.resolve_job_def(AUDIT_JOB)
        ran = job.get_subset(asset_selection={dg.AssetKey(["audit", topic])}, asset_check_selection=set())
        op = op_name(topic)
        run_config = {"ops": {op: {"config": config}}} if config else None
        result = ran.execute_in_process(instance=instance, raise_on_error=False, run_config=run_config)
        evaluations = result.get_asset_check_evaluations()
        return Checked(result.success, {one.check_name: one for one in evaluations})
