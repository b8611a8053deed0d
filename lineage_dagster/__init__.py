"""The Dagster code location: audits as assets and checks."""
