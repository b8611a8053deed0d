"""What a failed job says, as one sentence that names the remedy. Pure: text in, text out."""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_CAUSE = 600
_CAUSE = re.compile(r"^\s*(?:Caused by: )?((?:[a-zA-Z_$][\w$]*\.)+[A-Z][\w$]*(?:Exception|Error)\b.*)$", re.MULTILINE)
# What a Python worker raised of our own tree: a sentence already.
_OURS = re.compile(r"lineage_pipeline\.errors\.\w+: (.+)")
_KNOWN = (
    (
        "OffsetOutOfRange",
        "records at the job's position were deleted from {topic} before they were read: they are lost to this job. Go"
        " on behind them with `lineage job run --skip-expired`; the audit keeps them as missing (expired)",
    ),
    (
        "NoOffsetForPartition",
        "a partition of {topic} has no committed offset in the job's group: start with `lineage job run`, which writes"
        " them, and let nothing else reset the group",
    ),
    (
        "TopicAuthorizationException",
        "the job may not read {topic}: grant Read and Describe on the topic",
    ),
    (
        "GroupAuthorizationException",
        "the job may not use its consumer group: grant Read on the group",
    ),
    (
        "UnknownTopicOrPartition",
        "the topic {topic} or one of its partitions does not exist any more: check it with Kafka's own tools",
    ),
    (
        "No space left on device",
        "the disk is full: free some space and start again; nothing is lost, the job resumes from its last checkpoint",
    ),
)


def failure_sentence(topic: str, trace: str, secrets: Iterable[str] = ()) -> str:
    """One sentence for a Java stack trace: a known remedy and the root cause, without any of the `secrets`."""
    trace = redacted(trace, secrets)  # before anything is cut: half a secret would not be recognised
    if ours := _OURS.search(trace):
        return f"the job for {topic} failed: {ours[1].strip()[:MAX_CAUSE]}"
    causes = _CAUSE.findall(trace)
    root = (causes[-1] if causes else trace.strip().splitlines()[-1] if trace.strip() else "no reason given").strip()
    remedy = next((text.format(topic=topic) for mark, text in _KNOWN if mark in trace), None)
    return f"{remedy} ({root[:MAX_CAUSE]})" if remedy else f"the job for {topic} failed: {root[:MAX_CAUSE]}"


def redacted(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret of at least four characters replaced; shorter ones would blank out ordinary words.

    A secret is recognised as it is, and as the job writes it: quoted for JAAS, for SQL, or for both.
    """
    plain = {secret for secret in secrets if len(secret) >= 4}  # noqa: PLR2004 - see docstring
    notations = plain | {secret.replace("\\", "\\\\").replace('"', '\\"') for secret in plain}
    notations |= {notation.replace("'", "''") for notation in notations}
    for notation in sorted(notations, key=len, reverse=True):
        text = text.replace(notation, "***")
    return text
