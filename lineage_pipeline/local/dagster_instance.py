"""The instance directory (DAGSTER_HOME) of an embedded Dagster: its dagster.yaml and workspace.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from lineage_pipeline.errors import SetupError

LOCATION = "lineage_dagster"
_TICKS_KEPT_DAYS = {"skipped": 1, "success": 7, "failure": 30, "started": 7}

# docs/dagster.md explains each line, and has the variant for PostgreSQL.
INSTANCE: dict[str, Any] = {
    "telemetry": {"enabled": False},
    "nux": {"enabled": False},
    "storage": {"sqlite": {"base_dir": "storage"}},
    # Everything an audit says is an event; capturing stdout would cost four processes for each step.
    "compute_logs": {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"},
    "python_logs": {"managed_python_loggers": [LOCATION], "python_log_level": "INFO"},
    # Each audit asset has a pool of its own: one audit per topic at a time, however it was started.
    "concurrency": {"pools": {"default_limit": 1, "granularity": "run"}, "runs": {"max_concurrent_runs": 2}},
    "run_launcher": {"module": f"{LOCATION}.run_launcher", "class": "WatchedRunLauncher"},
    "run_monitoring": {
        "enabled": True,
        "start_timeout_seconds": 180,
        "max_runtime_seconds": 3600,
        "poll_interval_seconds": 30,
    },
    # A run that died is tried again; one that found a loss is not: it would only find it again.
    "run_retries": {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False},
    "sensors": {"use_threads": True, "num_workers": 2},
    "schedules": {"use_threads": True, "num_workers": 2},
    "retention": {
        "schedule": {"purge_after_days": _TICKS_KEPT_DAYS},
        "sensor": {"purge_after_days": _TICKS_KEPT_DAYS},
    },
}
WORKSPACE: dict[str, Any] = {
    "load_from": [{"python_module": {"module_name": f"{LOCATION}.definitions", "location_name": LOCATION}}]
}


def write_instance(home: Path) -> Path:
    """Write both files below `home`, which is made when absent, and return the workspace's path.

    Raises SetupError when they cannot be written.
    """
    instance = {**INSTANCE, "storage": {"sqlite": {"base_dir": str(home / "storage")}}}
    workspace = home / "workspace.yaml"
    try:
        (home / "storage").mkdir(parents=True, exist_ok=True)
        (home / "dagster.yaml").write_text(yaml.safe_dump(instance, sort_keys=False), encoding="utf-8")
        workspace.write_text(yaml.safe_dump(WORKSPACE, sort_keys=False), encoding="utf-8")
    except OSError as error:
        raise SetupError(f"Dagster's directory {home} cannot be written ({error.strerror}): check rights") from None
    return workspace
