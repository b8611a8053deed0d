"""What a failed job says: one sentence, the remedy where there is one, and never a secret."""

from __future__ import annotations

import pytest

from lineage_pipeline.flink.failures import MAX_CAUSE, failure_sentence, redacted

TRACE = """org.apache.flink.runtime.client.JobExecutionException: Job execution failed.
\tat org.apache.flink.runtime.jobmaster.JobResult.toJobExecutionResult(JobResult.java:144)
Caused by: org.apache.flink.runtime.JobException: Recovery is suppressed by a restart strategy
\tat org.apache.flink.Something.call(Something.java:1)
Caused by: {root}
\tat org.apache.kafka.Fetcher.run(Fetcher.java:1)
\t... 3 more
"""
OUT_OF_RANGE = (
    "org.apache.kafka.clients.consumer.OffsetOutOfRangeException: Fetch position FetchPosition{offset=10} is out of"
    " range for partition t-0"
)


def test_a_sentence_names_the_remedy_first_and_the_root_cause_in_brackets() -> None:
    said = failure_sentence("orders", TRACE.replace("{root}", OUT_OF_RANGE))
    assert said.startswith("records at the job's position were deleted from orders before they were read")
    assert "`lineage job run --skip-expired`" in said
    assert said.endswith(f"({OUT_OF_RANGE})")
    assert "\n" not in said


@pytest.mark.parametrize(
    ("root", "remedy"),
    [
        ("org.apache.kafka.clients.consumer.NoOffsetForPartitionException: Undefined offset", "no committed offset"),
        ("org.apache.kafka.common.errors.TopicAuthorizationException: Not authorized", "grant Read and Describe"),
        ("org.apache.kafka.common.errors.GroupAuthorizationException: Not authorized", "grant Read on the group"),
        ("org.apache.kafka.common.errors.UnknownTopicOrPartitionException: gone", "does not exist any more"),
        ("java.io.IOException: No space left on device", "the disk is full"),
    ],
)
def test_known_causes_have_their_remedy(root: str, remedy: str) -> None:
    said = failure_sentence("t", TRACE.replace("{root}", root))
    assert remedy in said
    assert root in said


def test_an_unknown_cause_is_said_as_it_is() -> None:
    said = failure_sentence("t", TRACE.replace("{root}", "com.example.OddException: no idea"))
    assert said == "the job for t failed: com.example.OddException: no idea"


def test_an_error_counts_as_a_cause_as_well_as_an_exception() -> None:
    said = failure_sentence("t", TRACE.replace("{root}", "java.lang.NoClassDefFoundError: com/github/luben/zstd"))
    assert said == "the job for t failed: java.lang.NoClassDefFoundError: com/github/luben/zstd"


@pytest.mark.parametrize("text", ["one line", "first\n\n  last line \n", "last line"])
def test_text_without_a_java_cause_gives_its_last_line(text: str) -> None:
    assert failure_sentence("t", text).endswith(text.strip().splitlines()[-1].strip())


@pytest.mark.parametrize("text", ["", "  \n "])
def test_no_text_at_all_is_said_to_be_none(text: str) -> None:
    assert failure_sentence("t", text) == "the job for t failed: no reason given"


def test_long_causes_are_cut() -> None:
    said = failure_sentence("t", "java.lang.RuntimeException: " + "x" * 10_000)
    assert len(said) < MAX_CAUSE + 100


@pytest.mark.parametrize("before", range(MAX_CAUSE - 60, MAX_CAUSE + 1))
def test_no_part_of_a_secret_survives_the_cut(before: int) -> None:
    name = "java.lang.RuntimeException: "
    said = failure_sentence("t", name + "x" * (before - len(name)) + "canary-7f3a-password", ["canary-7f3a-password"])
    assert "can" not in said.removeprefix("the job for t failed")


@pytest.mark.parametrize("secret", ['ca"nary', "ca\\nary", "ca'nary", """c'a"n\\ary"""])
@pytest.mark.parametrize("notation", ["plain", "jaas", "sql", "jaas in sql"])
def test_a_secret_is_cut_out_in_every_notation_that_the_job_gives_it(secret: str, notation: str) -> None:
    text = secret
    if "jaas" in notation:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    if "sql" in notation:
        text = text.replace("'", "''")
    assert redacted(f"password={text};", [secret]) == "password=***;"


def test_a_secret_within_another_leaves_nothing_of_the_longer_one() -> None:
    assert redacted("long-secret secret", ["secret", "long-secret"]) == "*** ***"


def test_very_short_secrets_do_not_blank_out_ordinary_words() -> None:
    assert redacted("a topic on a host", ["a", "on", ""]) == "a topic on a host"
