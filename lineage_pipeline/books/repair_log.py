"""Who repaired what, below OFFSET_INDEX_PATH/_repairs/T."""

from __future__ import annotations

from lineage_pipeline.books.claim_log import ClaimLog
from lineage_pipeline.books.object_store import ObjectStore, present
from lineage_pipeline.core.repair_claim import FOLDER, Chunk, RepairClaim, parse_claim


class RepairLog(ClaimLog[RepairClaim]):
    """The repairs of one topic; `store` is the root of its offset index."""

    def __init__(self, store: ObjectStore, topic: str) -> None:
        super().__init__(store, topic, FOLDER, "repair")

    def claims(self) -> tuple[RepairClaim, ...]:
        """All claims by number. Raises LedgerError when one is gone or cannot be read, StoreError on failure."""
        return self.read_claims(parse_claim)

    def unfinished(self, claim: RepairClaim) -> tuple[Chunk, ...]:
        """The chunks whose index object is not there. Raises StoreError."""
        keys = {key: chunk for chunk in claim.chunks() for key in [claim.index_key(chunk)]}
        there = present(self._store, keys)
        return tuple(chunk for key, chunk in keys.items() if key not in there)
