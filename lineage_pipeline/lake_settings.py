"""The settings `lake_files` of a topic. Pure: nothing is read here."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

TEN_YEARS: Final = 3_660 * 86_400  # seconds: no setting is longer, and no date is left that cannot be computed


class LakeFiles(BaseModel):
    """How data and quarantine files are named and read, and what one audit may look at (objects, bytes, seconds).

    `every`: seconds between audits of the lake by Dagster.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    partition_column: str = "kafka_partition"
    offset_column: str = "kafka_offset"
    timestamp_column: str = "kafka_timestamp"
    topic_column: str | None = None
    data: str | None = None
    quarantine: str | None = None
    max_files: Annotated[int, Field(ge=1)] = 50_000
    max_bytes: Annotated[int, Field(ge=1)] = 16 << 30
    max_seconds: Annotated[float, Field(gt=0, le=TEN_YEARS, allow_inf_nan=False)] = 600.0
    every: Annotated[int, Field(ge=60, le=TEN_YEARS)] = 3600

    def layout(self) -> tuple[str | None, ...]:
        """Everything that says how files are named and read."""
        columns = (self.partition_column, self.offset_column, self.timestamp_column, self.topic_column)
        return (*columns, self.data, self.quarantine)
