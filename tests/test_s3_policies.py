"""The policies in ops/s3 give what docs/operations.md says, and no more. That they are enough, S3 itself must show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "ops/s3"
ROLES = {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
WRITES = {"s3:PutObject", "s3:DeleteObject"}
Rights = set[tuple[str, str]]


def rights(role: str) -> Rights:
    """What may be done to which objects, as (action, pattern of keys)."""
    found: Rights = set()
    for statement in ROLES[role]["Statement"]:
        assert statement["Effect"] == "Allow"
        actions, resources = statement["Action"], statement["Resource"]
        for action in [actions] if isinstance(actions, str) else actions:
            for resource in [resources] if isinstance(resources, str) else resources:
                found.add((action, resource.removeprefix("arn:aws:s3:::lake").lstrip("/")))
    return found


def test_there_is_a_policy_for_each_role() -> None:
    assert set(ROLES) == {"writer", "auditor", "verifier"}


@pytest.mark.parametrize("role", ROLES)
def test_no_policy_has_a_wildcard_action_or_lists_outside_of_its_prefixes(role: str) -> None:
    assert all("*" not in action for action, _ in rights(role))
    (listing,) = [one for one in ROLES[role]["Statement"] if one["Action"] == "s3:ListBucket"]
    read = {pattern for action, pattern in rights(role) if action == "s3:GetObject"}
    assert set(listing["Condition"]["StringLike"]["s3:prefix"]) == read


def test_only_the_writer_deletes_and_it_never_reaches_what_audits_remember() -> None:
    assert {role for role in ROLES if any(action == "s3:DeleteObject" for action, _ in rights(role))} == {"writer"}
    assert not [pattern for _, pattern in rights("writer") if pattern.startswith("audit")]


def test_the_auditor_writes_only_what_it_remembers_and_the_verifier_nothing() -> None:
    written = {pattern for action, pattern in rights("auditor") if action in WRITES}
    assert written == {"audit/*", "offset-index/_audits/*"}
    assert {action for action, _ in rights("verifier")} == {"s3:ListBucket", "s3:GetObject"}
