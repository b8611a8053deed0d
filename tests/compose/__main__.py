"""`make compose-test`: docker-compose.yml for real, with podman: to a clean audit, through kills, to a due alarm.

Ends with 0 only if every step was seen. Without podman it ends with 3 and says so: nothing was tested.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from lineage_pipeline.lake_sql import LakeSql
from lineage_pipeline.local.ports import free_ports
from lineage_pipeline.settings import load_settings
from tests.compose.images import ROOT, build_all

PROJECT = "lineage-test"
TOPIC = "lineage-input"
CONFIG = ROOT / "ops/compose/lineage.yaml"
NOT_TESTED = 3
PATIENCE_SECONDS = 300.0
VICTIMS = ("taskmanager", "jobmanager", "job", "kafka", "s3", "daemon", "code", "postgres")
_CHECKS = """query Results($asset: AssetKeyInput!) {
  assetCheckExecutions(assetKey: $asset, checkName: "completeness", limit: 100) {
    status timestamp evaluation { success description timestamp } } }"""


class Stack:
    """The running compose stack, looked at from outside: by its published ports."""

    def __init__(self, images: Mapping[str, str], folder: Path) -> None:
        names = ("DAGSTER_PORT", "DAGSTER_ADMIN_PORT", "FLINK_PORT", "KAFKA_PORT", "S3_PORT", "METRICS_PORT")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.canaries = {
            name: f"canary-{secrets.token_hex(8)}" for name in ("S3_ACCESS_KEY", "S3_SECRET_KEY", "DAGSTER_PG_PASSWORD")
        }
        values = {**images, **self.ports, **self.canaries, "RATE_PER_SEC": "50", "CHECKPOINT_INTERVAL": "10"}
        self.env_file = folder / "env"
        self.env_file.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
        self.environ = {
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{self.ports['KAFKA_PORT']}",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.ports['S3_PORT']}",
            "AWS_ACCESS_KEY_ID": self.canaries["S3_ACCESS_KEY"],
            "AWS_SECRET_ACCESS_KEY": self.canaries["S3_SECRET_KEY"],
            "AWS_REGION": "us-east-1",
        }

    def compose(self, *words: str, check: bool = True) -> None:
        command = [sys.executable, "-m", "podman_compose", "--env-file", self.env_file, "-p", PROJECT, *words]
        subprocess.run(command, cwd=ROOT, check=check)

    def containers(self) -> dict[str, dict[str, Any]]:
        """By service: what podman says of its container."""
        own = f"label=io.podman.compose.project={PROJECT}"
        listing = ["podman", "ps", "--all", "--quiet", "--filter", own]
        done = subprocess.run(listing, check=True, capture_output=True, text=True)
        ids = done.stdout.split()
        if not ids:
            return {}
        shown = subprocess.run(["podman", "inspect", *ids], check=True, capture_output=True, text=True).stdout
        return {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in json.loads(shown)}

    def pid(self, service: str) -> int:
        """The first process of the service's container; 0 while it does not run."""
        return int(self.containers()[service]["State"]["Pid"])

    def kill(self, service: str) -> int:
        """SIGKILL for everything in the container, as a crash would; returns what was killed.

        Not by podman, which would then not start it again.
        """
        pid = self.pid(service)
        assert pid > 0, f"{service} does not run"
        os.kill(pid, signal.SIGKILL)
        return pid

    def indexed(self) -> int:
        settings = load_settings(self.environ, CONFIG)
        lake = LakeSql(settings, settings.topic())
        try:
            return lake.value("SELECT sum(record_count)::BIGINT FROM offset_index")
        finally:
            lake.close()

    def audit(self) -> dict[str, Any]:
        """An audit from outside the stack, which stores nothing."""
        command = [
            sys.executable,
            "-m",
            "lineage_pipeline",
            "audit",
            "--config",
            CONFIG,
            "--no-store",
            "--json",
            "--wait",
        ]
        done = subprocess.run(command, env={**os.environ, **self.environ}, capture_output=True, text=True, check=False)
        assert done.returncode in {0, 1, 3}, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def verdicts(self, since: float) -> list[tuple[bool, str]]:
        """What Dagster's page shows of the audits since then, newest first: passed, and the sentence."""
        body = json.dumps({"query": _CHECKS, "variables": {"asset": {"path": ["audit", TOPIC]}}}).encode()
        address = f"http://127.0.0.1:{self.ports['DAGSTER_PORT']}/graphql"
        with urlopen(Request(address, body, {"Content-Type": "application/json"}), timeout=30) as answer:
            found = json.load(answer)["data"]["assetCheckExecutions"]
        done = [one["evaluation"] for one in found if one["evaluation"] and one["evaluation"]["timestamp"] > since]
        return [(bool(one["success"]), str(one["description"])) for one in done]


def until(seen: Callable[[], bool], what: str, patience: float = PATIENCE_SECONDS) -> None:
    """Wait for it. Whatever cannot be asked just now is not there yet."""
    began = time.monotonic()
    while True:
        with suppress(Exception):
            if seen():
                print(f"  {what}: after {time.monotonic() - began:.0f} s", flush=True)
                return
        if time.monotonic() - began > patience:
            raise AssertionError(f"not within {patience:.0f} s: {what}")
        time.sleep(1)


def passed_since(stack: Stack, since: float) -> bool:
    verdicts = stack.verdicts(since)
    return bool(verdicts) and verdicts[0][0]


def flows(stack: Stack, what: str) -> None:
    """Records arrive again, and an audit of Dagster's that began afterwards says complete."""
    before = stack.indexed()
    until(lambda: stack.indexed() > before + 500, f"{what}: 500 more records in the index")
    since = time.time()
    until(lambda: passed_since(stack, since), f"{what}: a complete audit on Dagster's page")


def story(stack: Stack, victims: Sequence[str]) -> None:
    began = time.time()
    stack.compose("up", "-d", "--no-build")
    until(lambda: stack.indexed() > 0, "the first records in the index")
    until(lambda: passed_since(stack, began), "a complete audit on Dagster's page")
    not_root = {name: one["Config"]["User"] for name, one in stack.containers().items()}
    assert all(user.split(":")[0] not in {"", "0", "root"} for user in not_root.values()), not_root
    for name, one in stack.containers().items():
        if one["Config"].get("Healthcheck"):
            done = subprocess.run(
                ["podman", "healthcheck", "run", one["Id"]], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{name} is not healthy: {done.stdout}{done.stderr}"
    columns = "table {{.Name}} {{.CPUPerc}} {{.MemUsage}}"
    subprocess.run(["podman", "stats", "--no-stream", "--format", columns], check=True)
    for victim in victims:
        print(f"killing {victim}", flush=True)
        killed = stack.kill(victim)
        until(lambda: stack.pid(victim) not in {0, killed}, f"{victim} runs again")  # noqa: B023 - waited for in here
        flows(stack, victim)
    report = stack.audit()
    assert report["verdict"] == "complete", report["problems"]
    assert report["totals"]["duplicated"] == 0, report["totals"]
    lost = [text for passed, text in stack.verdicts(began) if not passed and text.startswith("LOSS")]
    assert lost == [], f"a false alarm: {lost}"
    _delete_a_data_object(stack)
    since = time.time()
    until(lambda: any("damaged" in text for ok, text in stack.verdicts(since) if not ok), "the deleted object is told")
    _no_canary(stack)


def _delete_a_data_object(stack: Stack) -> None:
    import botocore.session  # noqa: PLC0415 - needed once

    client = botocore.session.Session().create_client(
        "s3",
        endpoint_url=stack.environ["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id=stack.environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=stack.environ["AWS_SECRET_ACCESS_KEY"],
    )
    listed = client.list_objects_v2(Bucket="flink-data", Prefix="output/kafka_topic=")["Contents"]
    key = next(one["Key"] for one in listed if not one["Key"].endswith("/") and one["Size"])
    client.delete_object(Bucket="flink-data", Key=key)
    print(f"deleted {key}", flush=True)


def _no_canary(stack: Stack) -> None:
    """No secret in any log or in Dagster's database."""
    secret = [value for name, value in stack.canaries.items() if name != "S3_ACCESS_KEY"]
    for service, one in stack.containers().items():
        logs = subprocess.run(["podman", "logs", one["Id"]], check=True, capture_output=True)
        assert not [value for value in secret if value.encode() in logs.stdout + logs.stderr], (
            f"a secret in the log of {service}"
        )
    database = stack.containers()["postgres"]["Id"]
    dump = subprocess.run(
        ["podman", "exec", database, "pg_dump", "-U", "dagster", "-h", "/tmp", "dagster"],
        check=False,
        capture_output=True,
    )
    assert dump.returncode == 0, dump.stderr
    assert not [value for value in secret if value.encode() in dump.stdout], "a secret in Dagster's database"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.compose", description=__doc__)
    parser.add_argument("--victims", default=",".join(VICTIMS), help="services to kill, one after the other")
    victims = [one for one in parser.parse_args().victims.split(",") if one]
    missing = [name for name in ("podman",) if shutil.which(name) is None]
    if missing:
        print(f"NOT TESTED: {', '.join(missing)} is not installed, so no container was started", file=sys.stderr)
        return NOT_TESTED
    with tempfile.TemporaryDirectory(prefix="lineage-compose-") as folder:
        stack = Stack(build_all(), Path(folder))
        try:
            story(stack, victims)
        except BaseException:
            stack.compose("logs", "--tail", "40", check=False)
            raise
        finally:
            stack.compose("down", "--volumes", check=False)
    print("the compose stack was brought up, killed service by service, and audited: everything as promised")
    return 0


if __name__ == "__main__":
    sys.exit(main())
