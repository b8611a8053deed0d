"""The compose stack under test: started in the order that docker-compose.yml states, looked at from outside."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import yaml

from lineage_pipeline.lake_sql import LakeSql
from lineage_pipeline.local.ports import free_ports
from lineage_pipeline.settings import load_settings
from tests.compose.images import ROOT

PROJECT = "lineage-test"
TOPIC = "lineage-input"
CONFIG = ROOT / "ops/compose/lineage.yaml"
PATIENCE_SECONDS = 300.0
_LIMIT = 1000  # audits that one question may answer
_CHECKS = """query Results($asset: AssetKeyInput!, $limit: Int!) {
  assetCheckExecutions(assetKey: $asset, checkName: "completeness", limit: $limit) {
    status timestamp evaluation { success description timestamp } } }"""


class Stack:
    """The running stack. It is asked by its published ports; podman is only asked what a person would ask it."""

    def __init__(self, images: Mapping[str, str], folder: Path) -> None:
        names = ("DAGSTER_PORT", "DAGSTER_ADMIN_PORT", "FLINK_PORT", "KAFKA_PORT", "S3_PORT", "METRICS_PORT")
        self.services: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.canaries = {
            name: f"canary-{secrets.token_hex(8)}" for name in ("S3_ACCESS_KEY", "S3_SECRET_KEY", "DAGSTER_PG_PASSWORD")
        }
        self._values = {**images, **self.ports, **self.canaries, "RATE_PER_SEC": "50", "CHECKPOINT_INTERVAL": "10"}
        self._env_file = folder / "env"
        self.environ = {
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{self.ports['KAFKA_PORT']}",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.ports['S3_PORT']}",
            "AWS_ACCESS_KEY_ID": self.canaries["S3_ACCESS_KEY"],
            "AWS_SECRET_ACCESS_KEY": self.canaries["S3_SECRET_KEY"],
            "AWS_REGION": "us-east-1",
        }

    def compose(self, *words: str, check: bool = True) -> None:
        """podman-compose, with what it prints only where it fails."""
        self._env_file.write_text("".join(f"{name}={value}\n" for name, value in self._values.items()))
        command = [sys.executable, "-m", "podman_compose", "--env-file", self._env_file, "-p", PROJECT, *words]
        done = subprocess.run(
            command, cwd=ROOT, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        if done.returncode:
            print(done.stdout, flush=True)
        assert not check or done.returncode == 0, f"podman-compose {' '.join(words)} ended with {done.returncode}"

    def up(self) -> None:
        """Start every service once the conditions of its `depends_on` are met, and no sooner.

        podman-compose ignores conditions with the podman of Debian 12, and podman runs health checks only under
        systemd. So both are done here, as docker-compose.yml states them.
        """
        waiting = {name: one.get("depends_on", {}) for name, one in self.services.items() if "profiles" not in one}
        began = time.monotonic()
        met: set[str] = set()
        while waiting:
            needed = {one: how for needs in waiting.values() for one, how in needs.items() if one not in waiting}
            met |= {one for one, how in needed.items() if one not in met and self._met(one, how)}
            ready = [name for name, needs in waiting.items() if met.issuperset(needs)]
            if ready:
                self.compose("up", "-d", "--no-build", "--no-deps", *ready)
                print(f"  started {', '.join(ready)}: after {time.monotonic() - began:.0f} s", flush=True)
            for name in ready:
                del waiting[name]
            if time.monotonic() - began > PATIENCE_SECONDS:
                raise AssertionError(f"what {', '.join(waiting)} wait for is not there after {PATIENCE_SECONDS:.0f} s")
            time.sleep(0 if ready else 1)

    def _met(self, needed: str, how: Mapping[str, str]) -> bool:
        one = self.containers().get(needed)
        if one is None:
            return False
        if how["condition"] == "service_completed_successfully":
            return bool(one["State"]["Status"] == "exited" and one["State"]["ExitCode"] == 0)
        return self.healthy(needed)

    def at_rate(self, records_per_second: int) -> None:
        """Another generator."""
        self._values["RATE_PER_SEC"] = str(records_per_second)
        self.compose("up", "-d", "--no-build", "--no-deps", "--force-recreate", "generator")

    def containers(self) -> dict[str, dict[str, Any]]:
        """By service: what podman says of its container."""
        own = f"label=io.podman.compose.project={PROJECT}"
        for _ in range(3):  # one may be removed between the two questions
            ids = podman("ps", "--all", "--quiet", "--filter", own).split()
            if not ids:
                return {}
            done = subprocess.run(["podman", "inspect", *ids], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                found = json.loads(done.stdout)
                return {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in found}
        raise AssertionError(f"podman does not say what runs: {done.stderr}")

    def healthy(self, service: str) -> bool:
        """Run the health check of the service now. One without a health check is healthy while it runs."""
        name = f"{PROJECT}_{service}_1"
        if "healthcheck" in self.services[service]:
            done = subprocess.run(["podman", "healthcheck", "run", name], capture_output=True, check=False)
            return done.returncode == 0
        return podman("inspect", "--format", "{{.State.Status}}", name).strip() == "running"

    def pid(self, service: str) -> int:
        """The first process of the service's container; 0 while it does not run."""
        return int(self.containers()[service]["State"]["Pid"])

    def kill(self, *services: str) -> dict[str, int]:
        """SIGKILL for everything in the containers, as a crash would; returns what was killed.

        Not by podman, which would then not start it again.
        """
        containers = self.containers()
        pids = {service: int(containers[service]["State"]["Pid"]) for service in services}
        assert all(pids.values()), f"not running: {[service for service, pid in pids.items() if not pid]}"
        for pid in pids.values():
            os.kill(pid, signal.SIGKILL)
        return pids

    @contextmanager
    def lake(self) -> Iterator[LakeSql]:
        settings = load_settings(self.environ, CONFIG)
        lake = LakeSql(settings, settings.topic())
        try:
            yield lake
        finally:
            lake.close()

    def indexed(self) -> int:
        with self.lake() as lake:
            return lake.value("SELECT sum(record_count)::BIGINT FROM offset_index")

    def audit(self) -> dict[str, Any]:
        """An audit from outside the stack, which stores nothing."""
        words = ["audit", "--config", str(CONFIG), "--no-store", "--json", "--wait"]
        done = subprocess.run(
            [sys.executable, "-m", "lineage_pipeline", *words],
            env={**os.environ, **self.environ},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in {0, 1, 3}, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def verdicts(self, since: float) -> list[tuple[bool, str]]:
        """What Dagster's page shows of the audits since then, newest first: passed, and the sentence."""
        variables = {"asset": {"path": ["audit", TOPIC]}, "limit": _LIMIT}
        body = json.dumps({"query": _CHECKS, "variables": variables}).encode()
        address = f"http://127.0.0.1:{self.ports['DAGSTER_PORT']}/graphql"
        with urlopen(Request(address, body, {"Content-Type": "application/json"}), timeout=30) as answer:
            found = json.load(answer)["data"]["assetCheckExecutions"]
        assert len(found) < _LIMIT, "there may be more audits than were told"
        done = [one["evaluation"] for one in found if one["evaluation"] and one["evaluation"]["timestamp"] > since]
        return [(bool(one["success"]), str(one["description"])) for one in done]

    def page(self, port: str, path: str) -> str:
        """The text of a page on a published port."""
        with urlopen(f"http://127.0.0.1:{self.ports[port]}{path}", timeout=30) as answer:
            return str(answer.read().decode())


def podman(*words: str) -> str:
    """What podman prints. Raises CalledProcessError."""
    return subprocess.run(["podman", *words], check=True, capture_output=True, text=True).stdout


def until(seen: Callable[[], bool], what: str, patience: float = PATIENCE_SECONDS) -> None:
    """Wait for it. Whatever cannot be asked just now is not there yet; the last reason is told in the end."""
    began, reason = time.monotonic(), ""
    while True:
        try:
            if seen():
                print(f"  {what}: after {time.monotonic() - began:.0f} s", flush=True)
                return
        except Exception as error:  # noqa: BLE001 - a stack that restarts fails in any way
            reason = f" ({type(error).__name__}: {error})"
        if time.monotonic() - began > patience:
            raise AssertionError(f"not within {patience:.0f} s: {what}{reason}")
        time.sleep(1)
