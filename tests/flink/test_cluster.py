"""A job on a cluster, seen through Flink's REST answers: a small server gives those of Flink 2.3, one by one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from lineage_pipeline.errors import JobError, SettingsError, StartRefusedError
from lineage_pipeline.flink import cluster as module
from lineage_pipeline.flink.cluster import Cluster, ClusterJob, FoundJob, job_name
from lineage_pipeline.local.ports import free_ports

SECRET = "a-password-of-somebody"


class Rest:
    """Answers by path: a value, or a list of values, one after the other, the last for ever. An int is a status."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, Any]] = []
        rest = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(None)

            def do_POST(self) -> None:
                self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def answer(self, body: Any) -> None:
                rest.asked.append((self.path, body))
                found = rest.answers.get(self.path, 404)
                if isinstance(found, list):
                    found = found.pop(0) if len(found) > 1 else found[0]
                status, content = (found, {}) if isinstance(found, int) else (200, found)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(content).encode())

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def rest(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rest]:
    monkeypatch.setattr(module, "SILENT_SECONDS", 2.0)
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.01)
    made = Rest({})
    yield made
    made.close()


def jobs(*listed: tuple[str, str, str]) -> dict[str, Any]:
    return {"jobs": [{"jid": jid, "name": name, "state": state} for jid, name, state in listed]}


def job(rest: Rest) -> ClusterJob:
    return ClusterJob(Cluster(rest.url), "1", "orders", [SECRET])


def test_the_topics_own_job_is_found_by_its_name_and_no_other(rest: Rest) -> None:
    rest.answers["/jobs/overview"] = jobs(
        ("1", job_name("orders-eu", "w1"), "RUNNING"),
        ("2", job_name("orders", "w2"), "CANCELED"),
        ("3", job_name("order.", "w2"), "RUNNING"),
        ("4", "flink-lineage orders", "RUNNING"),
        ("5", job_name("orders", "w5"), "RESTARTING"),
    )
    assert Cluster(rest.url).find("orders") == FoundJob("5", "w5")
    assert Cluster(rest.url).find("order") is None


def test_a_job_that_goes_on_behind_deleted_records_is_known_as_one(rest: Rest) -> None:
    rest.answers["/jobs/overview"] = jobs(("1", job_name("orders", "w1", passing=True), "RUNNING"))
    assert Cluster(rest.url).find("orders") == FoundJob("1", "w1", passing=True)


def test_two_jobs_on_one_topic_are_for_a_person(rest: Rest) -> None:
    rest.answers["/jobs/overview"] = jobs(*((jid, job_name("t", f"w{jid}"), "RUNNING") for jid in "12"))
    with pytest.raises(StartRefusedError, match="jobs 1 and 2"):
        Cluster(rest.url).find("t")


def test_a_cluster_that_does_not_answer_never_looks_like_one_without_jobs(rest: Rest) -> None:
    with pytest.raises(JobError, match="does not answer"):
        Cluster(f"http://127.0.0.1:{free_ports(1)[0]}").find("orders")
    rest.answers["/jobs/overview"] = 503
    with pytest.raises(JobError, match="refused /jobs/overview"):
        Cluster(rest.url).find("orders")


def test_another_program_at_its_address_never_looks_like_one_without_jobs(rest: Rest) -> None:
    rest.answers["/jobs/overview"] = {"status": "ok"}
    with pytest.raises(JobError, match="is no Flink cluster"):
        Cluster(rest.url).find("orders")


def test_a_cluster_that_comes_back_is_waited_for(rest: Rest) -> None:
    rest.answers["/jobs/overview"] = [503, 503, jobs()]
    assert Cluster(rest.url).find("orders") is None


@pytest.mark.parametrize("url", ["host:8081", "ftp://host", "http://", ""])
def test_what_is_no_address_is_a_setting_to_correct(url: str) -> None:
    with pytest.raises(SettingsError, match="FLINK_REST_URL"):
        Cluster(url)


@pytest.mark.parametrize("state", ["CREATED", "INITIALIZING", "RUNNING", "RESTARTING", "FAILING", "CANCELLING"])
def test_a_job_that_is_not_over_is_left_alone(rest: Rest, state: str) -> None:
    rest.answers["/jobs/1"] = {"state": state}
    job(rest).check()


def test_a_failed_job_says_why_without_its_secrets(rest: Rest) -> None:
    trace = f"java.lang.RuntimeException: x\nCaused by: org.apache.kafka.OffsetOutOfRangeException: {SECRET}\n"
    rest.answers |= {
        "/jobs/1": {"state": "FAILED"},
        "/jobs/1/exceptions": {"exceptionHistory": {"entries": [{"stacktrace": trace}]}},
    }
    with pytest.raises(JobError, match="--skip-expired") as error:
        job(rest).check()
    assert SECRET not in str(error.value)


@pytest.mark.parametrize(
    ("answer", "words"),
    [(404, "does not know job 1"), ({"state": "CANCELED"}, "by somebody else"), ({"state": "FINISHED"}, "somebody")],
)
def test_a_job_that_is_gone_was_not_stopped_by_us(rest: Rest, answer: Any, words: str) -> None:
    rest.answers["/jobs/1"] = answer
    with pytest.raises(JobError, match=words):
        job(rest).check()


def test_a_stop_waits_for_savepoint_and_files(rest: Rest) -> None:
    rest.answers |= {
        "/jobs/1/stop": {"request-id": "r"},
        "/jobs/1/savepoints/r": [
            {"status": {"id": "IN_PROGRESS"}},
            {"status": {"id": "COMPLETED"}, "operation": {"location": "s3://b/savepoint-1"}},
        ],
        "/jobs/1": [{"state": "RUNNING"}, {"state": "FINISHED"}],
    }
    assert job(rest).stop("s3://b/savepoints") == "s3://b/savepoint-1"
    assert ("/jobs/1/stop", {"targetDirectory": "s3://b/savepoints", "drain": False}) in rest.asked
    assert rest.asked[-1][0] == "/jobs/1"


@pytest.mark.parametrize(
    "answers",
    [
        {"/jobs/1/stop": 404},
        {"/jobs/1/savepoints/r": {"status": {"id": "COMPLETED"}, "operation": {"failure-cause": {"stack-trace": "x"}}}},
        {"/jobs/1/savepoints/r": {"status": {"id": "COMPLETED"}}},
        {"/jobs/1": {"state": "FAILED"}},
        {"/jobs/1": 404},
    ],
)
def test_a_stop_is_clean_only_when_everything_of_it_was_seen(rest: Rest, answers: dict[str, Any]) -> None:
    rest.answers |= {
        "/jobs/1/stop": {"request-id": "r"},
        "/jobs/1/savepoints/r": {"status": {"id": "COMPLETED"}, "operation": {"location": "s3://b/savepoint-1"}},
        "/jobs/1": {"state": "FINISHED"},
        **answers,
    }
    with pytest.raises(JobError, match="stopping with a savepoint failed"):
        job(rest).stop("s3://b/savepoints")
