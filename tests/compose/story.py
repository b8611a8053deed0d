"""What is done to the stack, and what must be seen then."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import botocore.session

from tests.compose.canaries import no_canary
from tests.compose.stack import Stack, podman, until

RESTARTS_BY_ITSELF = ("taskmanager", "kafka", "s3", "daemon")
ALL_AT_ONCE = "all"  # as when the machine loses its power
_ENDS = {"prepare"}


def story(stack: Stack, victims: Sequence[str]) -> None:
    """The whole test. Raises AssertionError for what was not as promised."""
    began = time.time()
    stack.up()
    until(lambda: stack.indexed() > 0, "the first records in the index")
    until(lambda: _passed_since(stack, began), "a complete audit on Dagster's page")
    break_it(stack, victims, began)


def break_it(stack: Stack, victims: Sequence[str], began: float) -> None:
    """What is done to a stack that runs since then."""
    _nobody_is_root(stack)
    for name in stack.services:
        if name in stack.containers() and name not in _ENDS:
            assert stack.healthy(name), f"{name} is not healthy"
    for victim in victims:
        _kill_and_wait(stack, victim)
    _ends_complete(stack, began)
    key = _delete_a_data_object(stack)
    since = time.time()
    until(lambda: _told(stack, since, "damaged"), f"Dagster's page tells that an object is gone ({key})")
    report = stack.audit()
    assert report["verdict"] == "loss", report["verdict"]
    causes = {(one["class"], one["cause"]) for part in report["partitions"] for one in part["ranges"]}
    assert ("damaged", "object-missing") in causes, causes
    until(lambda: 'lineage_verdict{topic="lineage-input",verdict="loss"} 1' in stack.page("METRICS_PORT", "/metrics"),
          "the metrics tell the loss")  # fmt: skip
    no_canary(stack)


def _kill_and_wait(stack: Stack, victim: str) -> None:
    print(f"killing {victim}", flush=True)
    victims = [name for name in stack.containers() if name not in _ENDS] if victim == ALL_AT_ONCE else [victim]
    killed = stack.kill(*victims)
    until(lambda: all(stack.pid(name) not in {0, pid} for name, pid in killed.items()), f"{victim}: runs again")
    until(lambda: all(stack.healthy(name) for name in victims), f"{victim}: healthy again")
    before = stack.indexed()
    until(lambda: stack.indexed() > before + 500, f"{victim}: 500 more records in the index")
    since = time.time()
    until(lambda: _passed_since(stack, since), f"{victim}: a complete audit on Dagster's page")


def _passed_since(stack: Stack, since: float) -> bool:
    verdicts = stack.verdicts(since)
    return bool(verdicts) and verdicts[0][0]


def _told(stack: Stack, since: float, word: str) -> bool:
    return any(word in text for passed, text in stack.verdicts(since) if not passed)


def _ends_complete(stack: Stack, began: float) -> None:
    """Nothing missing, nothing twice, and none of the audits meanwhile called a loss."""
    report = stack.audit()
    assert report["verdict"] == "complete", report["problems"] or report["totals"]
    assert report["totals"]["duplicated"] == 0, report["totals"]
    with stack.lake() as lake:
        twice = lake.value("SELECT count(*) - count(DISTINCT (kafka_partition, kafka_offset)) FROM data")
        assert twice == 0, f"{twice} records are in the data twice"
    verdicts = stack.verdicts(began)
    lost = [text for passed, text in verdicts if not passed and text.startswith("LOSS")]
    assert lost == [], f"a false alarm: {lost}"
    passed = sum(one for one, _ in verdicts)
    print(
        f"  {report['totals']['indexed']} records, nothing twice; {passed} of {len(verdicts)} audits passed, none lost"
    )


def _nobody_is_root(stack: Stack) -> None:
    """Neither by the image, nor by any process that runs; and none can become it."""
    for name, one in stack.containers().items():
        assert one["Config"]["User"].split(":")[0] not in {"", "0", "root"}, name
        assert one["HostConfig"]["ReadonlyRootfs"] is bool(stack.services[name].get("read_only")), name
    seen: dict[str, int] = {}
    for name, one in stack.containers().items():
        if one["State"]["Status"] == "running":
            processes = _processes(one["Id"])
            assert processes, name
            seen[name] = len(processes)
            for status in processes:
                assert "0" not in status["Uid"].split(), f"a process of {name} is root: {status['Name']}"
                assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0, f"{name}: {status}"
                assert status["NoNewPrivs"] == "1", name
    print(f"  no root and no capability in {sum(seen.values())} processes of {len(seen)} containers")


def _processes(container: str) -> list[dict[str, str]]:
    """/proc/PID/status of every process in the container."""
    found = []
    for pid in podman("top", container, "hpid").split()[1:]:
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except FileNotFoundError:
            continue  # it has ended meanwhile
        found.append({key: value.strip() for key, _, value in (line.partition(":") for line in lines)})
    return found


def _delete_a_data_object(stack: Stack) -> str:
    client: Any = botocore.session.Session().create_client(
        "s3",
        endpoint_url=stack.environ["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id=stack.environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=stack.environ["AWS_SECRET_ACCESS_KEY"],
    )
    listed = client.list_objects_v2(Bucket="flink-data", Prefix="output/kafka_topic=")["Contents"]
    key = str(next(one["Key"] for one in listed if not one["Key"].endswith("/") and one["Size"]))
    client.delete_object(Bucket="flink-data", Key=key)
    return key
