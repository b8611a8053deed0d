"""The registry's settings: by reference what is secret, and nothing secret in what travels to the workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from lineage_pipeline.errors import SettingsError
from lineage_pipeline.settings import Settings, load_settings

CANARY = "planted-password"


def loaded(folder: Path, text: str, **environ: str) -> Settings:
    path = folder / "lineage.yaml"
    path.write_text(text, encoding="utf-8")
    return load_settings(environ, path)


def refused(folder: Path, text: str, **environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        loaded(folder, text, **environ)
    assert CANARY not in str(caught.value)
    return str(caught.value)


def test_without_one_there_is_none(tmp_path: Path) -> None:
    assert load_settings({}, cwd=tmp_path).schema_registry is None


def test_the_environment_names_its_address_and_wins(tmp_path: Path) -> None:
    text = "schema_registry: {url: 'http://file:8081', max_wait: 5}"
    found = loaded(tmp_path, text, SCHEMA_REGISTRY_URL="http://environment:8081").schema_registry
    assert found is not None
    assert (found.url, found.max_wait) == ("http://environment:8081", 5)
    assert load_settings({"SCHEMA_REGISTRY_URL": "http://e:1"}, cwd=tmp_path).schema_registry is not None


def test_secrets_are_referred_to_and_known_to_be_hidden(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("file-password\n")
    text = f"""
schema_registry:
  url: https://registry:8081/apis/ccompat/v7
  properties:
    basic.auth.user.info: {{env: REGISTRY_USER}}
    ssl.key.password: {{file: {key}}}
    ssl.ca.location: /etc/ca.pem
"""
    settings = loaded(tmp_path, text, REGISTRY_USER=f"me:{CANARY}")
    registry = settings.schema_registry
    assert registry is not None
    assert registry.resolved({"REGISTRY_USER": f"me:{CANARY}"}) == {
        "basic.auth.user.info": f"me:{CANARY}",
        "ssl.key.password": "file-password",
        "ssl.ca.location": "/etc/ca.pem",
    }
    assert {f"me:{CANARY}", CANARY, "file-password"} <= set(settings.secrets())
    assert "" not in settings.secrets()
    for shown in (repr(settings), settings.model_dump_json(), registry.model_dump_json()):
        assert CANARY not in shown
        assert "file-password" not in shown


def test_a_machine_without_the_secret_can_still_load_the_settings(tmp_path: Path) -> None:
    """An auditor does not ask the registry, and a cluster's workers have secrets that the submitter has not."""
    text = "schema_registry: {url: 'http://r:1', properties: {basic.auth.user.info: {env: REGISTRY_USER}}}"
    registry = loaded(tmp_path, text).schema_registry
    assert registry is not None
    with pytest.raises(SettingsError, match="REGISTRY_USER is not set"):
        registry.resolved({})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{url: registry:8081}", "address of a registry"),
        (f"{{url: 'https://me:{CANARY}@registry:8081'}}", "basic.auth.user.info"),
        ("{max_wait: 3}", "schema_registry.url"),
        ("{url: 'http://r:1', max_wait: -1}", "max_wait"),
        ("{url: 'http://r:1', wait: 1}", "did you mean `max_wait`"),
        (f"{{url: 'http://r:1', properties: {{basic.auth.user.info: 'me:{CANARY}'}}}}", "is written out"),
        (f"{{url: 'http://r:1', properties: {{proxy: 'http://me:{CANARY}@proxy:1'}}}}", "is written out"),
        ("{url: 'http://r:1', properties: {basic.auth.info: {env: A}}}", "did you mean basic.auth.user.info"),
        ("{url: 'http://r:1', properties: {max.retries: '3'}}", "unknown property max.retries"),
        ("{url: 'http://r:1', properties: {ssl.key.password: {}}}", "`{env: NAME}` or `{file: PATH}`"),
        ("{url: 'http://r:1', properties: {ssl.key.password: {vault: x}}}", "properties"),
        ("just text", "schema_registry"),
    ],
)
def test_mistakes_are_told_with_their_remedy(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(tmp_path, f"schema_registry: {text}")
    if "url:" not in text:
        assert "schema_registry" in refused(tmp_path, "schema_registry: [1]", SCHEMA_REGISTRY_URL="http://r:1")


def test_a_file_cannot_smuggle_in_what_the_code_finds_out(tmp_path: Path) -> None:
    assert "unknown key `registry_secrets`" in refused(tmp_path, "registry_secrets: [x]")
