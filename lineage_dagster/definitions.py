"""What Dagster loads: the topics of lineage.yaml (LINEAGE_CONFIG, or the current directory), or one clear error."""

from __future__ import annotations

import os

from lineage_dagster.build import build_defs
from lineage_dagster.location_settings import location_settings

defs = build_defs(location_settings(os.environ), os.environ)
