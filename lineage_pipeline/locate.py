"""Use case: where is this offset of this partition? The index answers: the row, its file, or what is known instead."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lineage_pipeline.books.index_store import IndexPath, LocatedRow, locate_rows, read_index
from lineage_pipeline.core.decision import decide_partition
from lineage_pipeline.core.evidence import AuditEvidence, AuditRules
from lineage_pipeline.errors import StoreError


@dataclass(frozen=True)
class Location:
    """Where an offset is. `rows` holds every index row that spans it, oldest first.

    `offset_class`: the audit's class of the offset, None when it is outside of everything audited. `why` is a sentence.
    `problems`: what could not be read, so that not finding it proves nothing.
    """

    partition: int
    offset: int
    found: bool
    offset_class: str | None
    why: str
    rows: tuple[LocatedRow, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 found, 1 not found, 3 cannot tell."""
        if self.found:
            return 0
        return 3 if self.offset_class == "unknown" or self.problems else 1

    def to_json(self) -> dict[str, Any]:
        """The object of contract.md; data files and the record itself are the lake book's."""
        first = self.rows[0] if self.rows else None
        return {
            "found": self.found,
            "class": self.offset_class,
            "index": first.row.to_json() if first else None,
            "index_file": first.key if first else None,
            "data_files": [],
            "record": None,
        }


def locate_offset(path: IndexPath, partition: int, offset: int, rules: AuditRules, audited_at: datetime) -> Location:
    """Look the offset up in the index alone. Books that cannot be read do not raise: the answer is "cannot tell"."""
    try:
        located = locate_rows(path, partition, offset)
    except StoreError as error:
        return Location(partition, offset, found=False, offset_class="unknown", why=str(error), problems=(str(error),))
    exact = [one for one in located.rows if one.row.is_exact]
    if exact:
        times = "" if len(exact) == 1 else f"; {len(exact)} rows cover it, so it was written more than once"
        why = f"indexed by {exact[0].key}{times}"
        rows = (*exact, *(one for one in located.rows if not one.row.is_exact))
        return Location(partition, offset, found=True, offset_class="indexed", why=why, rows=rows)
    # only what was not found needs the whole partition: then the audit itself says what the offset is
    evidence = AuditEvidence(path.topic, audited_at, read_index(path), rules=rules)
    offset_class, why = _class_of(partition, offset, evidence)
    problems = tuple(dict.fromkeys((*located.problems, *evidence.problems)))
    return Location(
        partition, offset, found=False, offset_class=offset_class, why=why, rows=located.rows, problems=problems
    )


def _class_of(partition: int, offset: int, evidence: AuditEvidence) -> tuple[str | None, str]:
    if partition not in evidence.index.coverage:
        return None, f"the index has no row of partition {partition}"
    decision = decide_partition(partition, evidence)
    for tile in decision.tiles:
        if offset in tile.ranges:
            return tile.offset_class, tile.evidence
    return None, f"partition {partition} is audited from {decision.baseline.offset} to {decision.end - 1}"
