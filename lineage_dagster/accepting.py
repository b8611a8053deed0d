"""A job with which a person takes on a known gap from the UI: an entry of the ledger, shown for ever."""

# No `from __future__ import annotations` here: Dagster reads the annotations of op functions as objects.

import dagster as dg
from pydantic import Field

from lineage_dagster.auditor import Auditor
from lineage_pipeline.accept import Acceptance
from lineage_pipeline.core.offset_index import MAX_PARTITION
from lineage_pipeline.core.offsets import MAX_END, OffsetRange
from lineage_pipeline.errors import UsageError

ACCEPT_JOB = "accept_gap"


class AcceptConfig(dg.Config):
    """What is accepted: offsets from `start` up to, and without, `end`, of one partition of one topic."""

    topic: str
    partition: int = Field(ge=0, le=MAX_PARTITION)
    start: int = Field(ge=0, le=MAX_END)
    end: int = Field(ge=1, le=MAX_END)
    reason: str
    author: str


def accept_job() -> dg.JobDefinition:
    """Accepts one gap. It removes nothing, and needs all of its fields filled in by hand."""

    @dg.op(name="accept")
    def accept(context: dg.OpExecutionContext, config: AcceptConfig, auditor: dg.ResourceParam[Auditor]) -> None:
        if config.end <= config.start:
            raise UsageError(
                f"end {config.end} is not above start {config.start}: end is the offset after the last one"
            )
        whole = OffsetRange(config.start, config.end)
        said = auditor.accept(config.topic, Acceptance(config.partition, whole, config.reason, config.author))
        context.log.info(said)
        context.add_output_metadata({"accepted": said})

    @dg.job(
        name=ACCEPT_JOB,
        description="Take on a gap that the newest audit shows: it no longer counts as a loss and is shown for ever.",
    )
    def accept_one_gap() -> None:
        accept()

    return accept_one_gap
