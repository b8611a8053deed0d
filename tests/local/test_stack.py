"""The embedded stack's settings; its processes are tested in tests/e2e."""

from __future__ import annotations

from pathlib import Path

import pytest

from lineage_pipeline.errors import SettingsError
from lineage_pipeline.local.stack import EmbeddedStack


def interval(directory: Path, **environ: str) -> float:
    return EmbeddedStack(directory, environ, print).checkpoint_interval


def test_checkpoints_are_three_seconds_apart_unless_the_environment_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lineage.yaml").write_text("checkpoint_interval: 60")  # another pipeline's
    assert interval(tmp_path) == interval(tmp_path, CHECKPOINT_INTERVAL="") == 3
    assert interval(tmp_path, CHECKPOINT_INTERVAL="5") == 5
    with pytest.raises(SettingsError, match="CHECKPOINT_INTERVAL is 'soon'"):
        interval(tmp_path, CHECKPOINT_INTERVAL="soon")
