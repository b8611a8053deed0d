"""The schema registry is asked once before a job starts: a mistake in its settings must not fill the quarantine."""

from __future__ import annotations

from collections.abc import Callable

from lineage_pipeline.books.schema_registry import ConfluentRegistry
from lineage_pipeline.errors import RegistryError, RegistryRefusedError, SettingsError
from lineage_pipeline.flink.worker_environment import worker_environment
from lineage_pipeline.registry_settings import RegistrySettings


def check_registry(settings: RegistrySettings, report: Callable[[str], None], *, on_workers_only: bool) -> None:
    """Raise RegistryRefusedError or SettingsError when no record could be decoded with these settings.

    A registry that does not answer now may answer later, and one that only a cluster's workers can reach, or have the
    secrets for, cannot be judged from here: both are reported, and the start goes on.
    """
    try:
        ConfluentRegistry(settings.url, settings.resolved(worker_environment())).check()
    except RegistryRefusedError:
        raise
    except RegistryError as error:
        report(
            f"{error}; starting all the same: records whose schema is not known wait {settings.max_wait:g} s for it,"
            " then they go to the quarantine, from where they can be decoded again"
        )
    except SettingsError as error:
        if not on_workers_only:
            raise
        report(f"the schema registry was not asked from here ({error}); the cluster's workers need this")
