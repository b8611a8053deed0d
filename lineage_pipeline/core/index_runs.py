"""Pure: records in offset order become index rows: contiguous runs, as the job writes them."""

from __future__ import annotations

from dataclasses import dataclass, field

from lineage_pipeline.core.offset_index import IndexRow


@dataclass
class RunBuilder:
    """Collects the records of one partition. A run ends at a gap and where the leader epoch changes.

    `at`: milliseconds since 1970 for both ends of the runs' windows. `max_timestamp` of a row is the latest of its
    island, that is, since the last gap or change of epoch.
    """

    partition: int
    writer: str
    at: int
    rows: list[IndexRow] = field(default_factory=list)
    _run: _Run | None = None

    def add(self, offset: int, timestamp: int, leader_epoch: int | None, *, quarantined: bool) -> None:
        """Take the next record; offsets must rise. Raises ValueError when they do not."""
        run = self._run
        if run is not None and offset < run.end:
            raise ValueError(f"offset {offset} after {run.end - 1}")
        if run is None or offset != run.end or leader_epoch != run.leader_epoch:
            self._close()
            run = self._run = _Run(offset, offset, timestamp, leader_epoch)
        run.end = offset + 1
        run.max_timestamp = max(run.max_timestamp, timestamp)
        run.quarantined += quarantined

    def finish(self) -> tuple[IndexRow, ...]:
        """All rows; nothing can be added behind."""
        self._close()
        return tuple(self.rows)

    def _close(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            self.rows.append(
                IndexRow(
                    kafka_partition=self.partition,
                    min_offset=run.start,
                    max_offset=run.end - 1,
                    record_count=run.end - run.start,
                    window_start=self.at,
                    quarantined_count=run.quarantined,
                    window_end=self.at,
                    max_timestamp=run.max_timestamp,
                    leader_epoch=run.leader_epoch,
                    writer=self.writer,
                )
            )


@dataclass
class _Run:
    start: int
    end: int
    max_timestamp: int
    leader_epoch: int | None
    quarantined: int = 0
