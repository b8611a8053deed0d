"""What Dagster loads: all topics of lineage.yaml under names that never collide, or one clear error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from lineage_dagster.location_settings import location_settings
from lineage_dagster.names import op_name
from lineage_pipeline.errors import SettingsError
from tests.lineage_dagster.lake import Lake


def test_without_any_settings_the_location_fails_in_one_sentence(tmp_path: Path):
    with pytest.raises(SettingsError, match="nothing says which topics to audit"):
        location_settings({}, tmp_path)


def test_the_environment_may_name_the_one_topic(tmp_path: Path):
    assert location_settings({"KAFKA_TOPIC": "orders"}, tmp_path).topic().name == "orders"


def test_a_settings_file_that_is_named_but_absent_is_an_error(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"nowhere\.yaml does not exist"):
        location_settings({"LINEAGE_CONFIG": "nowhere.yaml"}, tmp_path)


@pytest.mark.parametrize("other", ["a-b", "a_b", "A.b", "a.b_"])
def test_topics_that_differ_in_one_character_have_different_ops(other: str):
    assert op_name("a.b") != op_name(other)


def test_topics_with_dots_dashes_and_every_legal_length_load(lake: Lake):
    topics = ["a.b", "a-b", "a_b", "x" * 249, "0", "-", "v1.orders-eu_west"]
    definitions = lake.definitions(*topics)
    dg.Definitions.validate_loadable(definitions)
    keys = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    assert {f"{layer}/{topic}" for layer in ("kafka", "lake", "audit") for topic in topics} <= keys


def test_loading_the_location_touches_no_network_and_starts_no_client(lake: Lake):
    lake.settings({"name": "t", "audit": {"books": ["index", "broker"]}}, "u")
    program = """
import socket, sys
def refuse(*_arguments, **_named):
    raise SystemExit("a socket was opened while the location was loaded")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
import lineage_dagster.definitions
clients = {"confluent_kafka", "obstore", "s3fs", "pyflink", "apprise"} & set(sys.modules)
raise SystemExit(f"loading imported {clients}" if clients else 0)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=lake.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
