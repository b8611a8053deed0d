"""A sensor that a person has switched off before Dagster starts: its runs would come beside those a test asks for."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus

from lineage_pipeline.local.dagster_instance import LOCATION, write_instance


def switch_off(home: Path, sensor: str) -> None:
    """Store it in the instance directory `home`, which is made when absent."""
    write_instance(home)
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(LOCATION), "__repository__")
    state = InstigatorState(RemoteInstigatorOrigin(repository, sensor), InstigatorType.SENSOR, InstigatorStatus.STOPPED)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.add_instigator_state(state)
