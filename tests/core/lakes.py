"""Small lakes, written down object by object."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lineage_pipeline.core.lake_manifest import Fault, LakeFile, LakeManifest, LakeObject, LakeTable, Left
from lineage_pipeline.core.lake_runs import Runs


@dataclass(frozen=True)
class Object:
    """One object of a lake and the half-open ranges of partition 0 in it; with `left` it was there once."""

    key: str
    held: tuple[tuple[int, int], ...] = ()
    table: LakeTable = "data"
    left: Left | None = None
    left_at: float | None = None
    fault: Fault | None = None
    modified: float = 100.0
    file: LakeFile = field(init=False)

    def __post_init__(self) -> None:
        listed = LakeObject(self.table, self.key, 1, None, self.modified)
        problem = f"{self.key} is {self.fault}" if self.fault else None
        found = LakeFile(listed, 0.0, 1, None, None, self.fault, problem, self.left, self.left_at)
        object.__setattr__(self, "file", found)


def manifest(*objects: Object) -> LakeManifest:
    runs = [(number, 0, start, end, 1) for number, one in enumerate(objects) for start, end in one.held]
    columns = np.array(runs, dtype=np.int64).reshape(-1, 5).T
    return LakeManifest(tuple(one.file for one in objects), Runs(*columns))
