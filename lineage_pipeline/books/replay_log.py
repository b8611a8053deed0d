"""Who replayed what of the quarantine, below OFFSET_INDEX_PATH/_replays/T."""

from __future__ import annotations

from lineage_pipeline.books.claim_log import ClaimLog
from lineage_pipeline.books.object_store import ObjectStore
from lineage_pipeline.core.replay_claim import FOLDER, ReplayClaim, parse_replay_claim


class ReplayLog(ClaimLog[ReplayClaim]):
    """The replays of one topic's quarantine; `store` is the root of its offset index."""

    def __init__(self, store: ObjectStore, topic: str) -> None:
        super().__init__(store, topic, FOLDER, "replay")

    def claims(self) -> tuple[ReplayClaim, ...]:
        """All claims by number. Raises LedgerError when one is gone or cannot be read, StoreError on failure."""
        return self.read_claims(parse_replay_claim)
