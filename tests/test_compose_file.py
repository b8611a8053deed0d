"""What docker-compose.yml promises, read from the file. That it runs is `make compose-test`'s business."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
WRITES_ITS_ROOT = {"kafka"}  # the image makes its configuration at start
ENDS_OR_HAS_NO_PAGE = {"prepare", "generator", "job"}  # their life is their health: they end when something is wrong


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_is_root_or_may_become_it_and_each_has_limits(name: str) -> None:
    service = SERVICES[name]
    assert service["user"].split(":")[0] not in {"", "0", "root"}
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("read_only", False) is not (name in WRITES_ITS_ROOT)
    assert {"mem_limit", "cpus", "restart", "logging"} <= set(service)
    assert ("healthcheck" in service) is not (name in ENDS_OR_HAS_NO_PAGE)


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_and_ports_are_local(name: str) -> None:
    image = SERVICES[name]["image"]
    default = re.fullmatch(r"\$\{[A-Z0-9_]+:-(.+)\}", image)
    assert default, image
    assert re.search(r":[0-9][^:/]*$", default[1]), f"{image} has no version"
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("127.0.0.1:")


def test_a_service_waits_for_the_health_or_the_end_of_what_it_needs() -> None:
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            assert how["condition"] == (
                "service_completed_successfully" if needed == "prepare" else "service_healthy"
            ), needed


def test_no_secret_is_written_out_and_the_example_names_every_variable() -> None:
    used = set(re.findall(r"\$\{([A-Z0-9_]+)", TEXT)) - {
        name for name in re.findall(r"\$\{([A-Z0-9_]+)", TEXT) if name.endswith("_IMAGE")
    }
    example = set(re.findall(r"^([A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert used == example
    for secret in ("S3_SECRET_KEY", "S3_ACCESS_KEY", "DAGSTER_PG_PASSWORD"):
        assert re.findall(rf"\$\{{{secret}(:.)", TEXT)
        assert set(re.findall(rf"\$\{{{secret}(:.)", TEXT)) == {":?"}, f"{secret} has a default"


def test_only_who_audits_or_writes_has_the_credentials_of_the_lake() -> None:
    with_lake = {name for name, one in SERVICES.items() if "AWS_SECRET_ACCESS_KEY" in (one.get("environment") or {})}
    assert with_lake == {"prepare", "generator", "jobmanager", "taskmanager", "job", "code", "metrics"}


def test_the_readme_names_every_published_port() -> None:
    readme = (ROOT / "README.md").read_text()
    for service in SERVICES.values():
        for port in service.get("ports", []):
            default = re.search(r":-(\d+)\}", port)
            assert default
            assert f"127.0.0.1:{default[1]}" in readme
