"""S3's options for Flink: from the AWS_* variables, and nothing of them in a job."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from lineage_pipeline.flink.environment import flink_options
from lineage_pipeline.flink.file_systems import s3_options, uses_s3
from lineage_pipeline.flink.job_config import JobOptions, job_config
from lineage_pipeline.settings import Settings, load_settings

KEYS = {"AWS_ACCESS_KEY_ID": "an-id", "AWS_SECRET_ACCESS_KEY": "a-secret", "AWS_SESSION_TOKEN": "a-token"}
PLUGIN = Path("s3.jar")


def settings(environ: Mapping[str, str], tmp_path: Path) -> Settings:
    (tmp_path / "lineage.yaml").write_text("lake: s3://b/lake\ntopics: [{name: t, format: raw}]")
    return load_settings(environ, tmp_path / "lineage.yaml")


def test_variables_become_the_options_of_s3a(tmp_path: Path) -> None:
    given = {**KEYS, "AWS_ENDPOINT_URL": "http://s3:9000", "AWS_REGION": "eu-central-1"}
    assert s3_options(settings(given, tmp_path)) == {
        "s3.endpoint": "http://s3:9000",
        "s3.access-key": "an-id",
        "s3.secret-key": "a-secret",
        "s3.session.token": "a-token",
        "s3.endpoint.region": "eu-central-1",
        "s3.path.style.access": "true",
        "fs.s3a.directory.marker.retention": "keep",
    }


def test_on_aws_itself_buckets_are_hosts_and_roles_are_found_by_s3a(tmp_path: Path) -> None:
    assert s3_options(settings({}, tmp_path)) == {"fs.s3a.directory.marker.retention": "keep"}
    role = {"AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/token", "AWS_ROLE_ARN": "arn:aws:iam::1:role/job"}
    options = s3_options(settings({**role, "AWS_DEFAULT_REGION": "eu-west-1"}, tmp_path))
    assert options["s3.aws.credentials.provider"] == "com.amazonaws.auth.WebIdentityTokenCredentialsProvider"
    assert options["s3.endpoint.region"] == "eu-west-1"
    assert "s3.aws.credentials.provider" not in s3_options(settings({**role, **KEYS}, tmp_path))


def test_the_path_of_a_token_file_stays_in_the_environment_and_a_token_does_not(tmp_path: Path) -> None:
    given = {**KEYS, "AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/token"}
    assert set(settings(given, tmp_path).secrets()) == set(KEYS.values())


def test_an_endpoint_for_s3_alone_wins(tmp_path: Path) -> None:
    both = {"AWS_ENDPOINT_URL": "http://all", "AWS_ENDPOINT_URL_S3": "http://s3"}
    assert s3_options(settings(both, tmp_path))["s3.endpoint"] == "http://s3"


@pytest.mark.parametrize("place", ["output", "quarantine", "offset_index", "checkpoints"])
def test_the_plugin_is_needed_as_soon_as_one_path_is_on_s3(tmp_path: Path, place: str) -> None:
    config = tmp_path / "lineage.yaml"
    for uri, needed in (("s3://b/x", True), ("s3a://b/x", True), ("/lake/x", False), ("file:///lake/x", False)):
        config.write_text(f"lake: /lake\ntopics: [{{name: t, paths: {{{place}: {uri}}}}}]")
        assert uses_s3(load_settings({}, config).topic()) is needed


def test_no_credential_is_in_the_options_of_a_job_or_in_what_is_printed(tmp_path: Path) -> None:
    loaded = settings(KEYS, tmp_path)
    config = job_config(loaded, loaded.topic(), JobOptions(s3_jars=(PLUGIN,)))
    assert config.s3_options["s3.secret-key"] == "a-secret"
    shown = repr(config) + str(flink_options(config, "s3://b/lake/checkpoints", None))
    assert [value for value in KEYS.values() if value in shown] == []
    assert job_config(loaded, loaded.topic(), JobOptions()).s3_options == {}
