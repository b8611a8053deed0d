"""The settings of the code location: found as everywhere, but never made up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lineage_pipeline.errors import SettingsError
from lineage_pipeline.settings import Settings, load_settings
from lineage_pipeline.settings_file import CONFIG_NAME, EMBEDDED_CONFIG


def location_settings(environ: Mapping[str, str], cwd: Path = Path()) -> Settings:
    """The settings, from a file or from an environment that names a topic.

    Raises SettingsError when there is neither: the defaults would show a page about a topic that nobody meant.
    """
    named = environ.get("LINEAGE_CONFIG") or environ.get("KAFKA_TOPIC")
    if not named and not any((cwd / path).is_file() for path in (Path(CONFIG_NAME), EMBEDDED_CONFIG)):
        raise SettingsError(
            f"nothing says which topics to audit: there is no {CONFIG_NAME} in {cwd.absolute()}; set LINEAGE_CONFIG to "
            "the settings file, or KAFKA_TOPIC to the one topic"
        )
    return load_settings(environ, cwd=cwd)
