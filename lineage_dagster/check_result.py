"""Pure: the latest result of one check as Dagster stored it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

CheckState = Literal["passed", "failed", "crashed", "never"]


@dataclass(frozen=True)
class CheckResult:
    """The latest result of one check; `crashed`: its last run ended without one.

    `at`: when it was evaluated last (epoch seconds); None when it never was.
    """

    state: CheckState
    text: str = ""
    at: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
