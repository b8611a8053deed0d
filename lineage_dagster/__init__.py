"""The Dagster code location: every audit as an asset with checks, and what watches them.

Pure modules (no Dagster in them): `names`, `judgement`, `sentences`. `build.build_defs` puts everything together;
`definitions.defs` is what Dagster loads.
"""
