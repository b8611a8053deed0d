"""`make audit-deps`: is any locked dependency, Python package or jar, known to be vulnerable?

Ends with 0 only if the database of vulnerabilities (OSV) answered for every single one of them and knows none that is
not accepted; with 1 when it knows one; with 3 when it was not asked, or did not answer, for any.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

from lineage_pipeline.local.jars import cache_folder, fetch_jars, locked_jars

ROOT = Path(__file__).parents[1]
LOCKS = (
    "requirements.lock",
    "requirements-bootstrap.lock",
    "images/flink/requirements.lock",
    "images/auditor/requirements.lock",
)
JAR_SETS = ("kafka", "flink", "flink-s3", "s3proxy")
# One a line: the id, the last day on which it is accepted, and why.
ACCEPTED = ROOT / ".ci/accepted-vulnerabilities"
VULNERABLE, NOT_AUDITED = 1, 3
_BATCH = 500
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?==([^\s;\\]+)")


class Component(NamedTuple):
    ecosystem: str  # as the database names it
    name: str
    version: str


class NotAuditedError(Exception):
    """Something was not looked at."""


def locked_packages(text: str, origin: str) -> Iterator[Component]:
    """Every pin of a lock, whatever machine it is for. Raises NotAuditedError for a line that is none."""
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.strip()
        if not words or words.startswith(("#", "--hash=")):
            continue
        pin = _PIN.match(words)
        if pin is None:
            raise NotAuditedError(f"{origin}, line {number}, pins no version, so nobody can look it up: {words}")
        yield Component("PyPI", re.sub(r"[-_.]+", "-", pin[1]).lower(), pin[2])


def jar_components(path: Path, group: str, artifact: str, version: str) -> Iterator[Component]:
    """The jar itself, and every artefact that says to be packed into it."""
    yield Component("Maven", f"{group}:{artifact}", version)
    with zipfile.ZipFile(path) as jar:
        for name in jar.namelist():
            if re.fullmatch(r"META-INF/maven/.+/pom\.properties", name):
                lines = jar.read(name).decode("latin-1").splitlines()
                found = {
                    key.strip(): value.strip() for key, sign, value in (one.partition("=") for one in lines) if sign
                }
                if not {"groupId", "artifactId", "version"} <= set(found):
                    raise NotAuditedError(f"{path.name} holds {name}, which names no version")
                yield Component("Maven", f"{found['groupId']}:{found['artifactId']}", found["version"])


def known_vulnerabilities(components: Sequence[Component], database: str) -> dict[Component, list[str]]:
    """What the database knows, by component; every one of them was answered. Raises NotAuditedError."""
    found: dict[Component, list[str]] = {}
    for start in range(0, len(components), _BATCH):
        batch = components[start : start + _BATCH]
        answers = _ask(batch, database)
        if len(answers) != len(batch):
            raise NotAuditedError(f"{database} answered {len(answers)} of {len(batch)} questions")
        for one, answer in zip(batch, answers, strict=True):
            if answer.get("next_page_token"):
                raise NotAuditedError(f"{database} knows more of {one.name} {one.version} than it said")
            found[one] = [str(vulnerability["id"]) for vulnerability in answer.get("vulns", [])]
    return found


def _ask(batch: Sequence[Component], database: str) -> list[Mapping[str, Any]]:
    queries = [{"package": {"name": one.name, "ecosystem": one.ecosystem}, "version": one.version} for one in batch]
    body = json.dumps({"queries": queries}).encode()
    request = Request(f"{database}/v1/querybatch", body, {"Content-Type": "application/json"})
    try:
        with urlopen(request, timeout=60) as answer:
            results: list[Mapping[str, Any]] = [dict(one) for one in json.load(answer)["results"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotAuditedError(f"{database} gave no answer ({type(error).__name__}: {error})") from None
    return results


def accepted(text: str, today: date) -> set[str]:
    """The ids that may be there today. Raises NotAuditedError for a line without a day or a reason."""
    found = set()
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            match = re.fullmatch(r"(\S+) (\d{4}-\d{2}-\d{2}) (.+)", line.strip())
            if match is None:
                raise NotAuditedError(f"{ACCEPTED.name}: write ID YYYY-MM-DD and the reason, not {line!r}")
            if date.fromisoformat(match[2]) >= today:
                found.add(match[1])
    return found


def everything_locked() -> list[Component]:
    """All that any lock of the project names, each once."""
    found = {one for lock in LOCKS for one in locked_packages((ROOT / lock).read_text(), lock)}
    for name in JAR_SETS:
        paths = fetch_jars(name, cache=cache_folder(os.environ))
        for jar in locked_jars(name):
            (path,) = [one for one in paths if one.as_posix().endswith(f"/{jar.path}")]
            found |= set(jar_components(path, jar.group, jar.artifact, jar.version))
    return sorted(found)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.audit_dependencies", description=__doc__)
    parser.add_argument("--database", default=os.environ.get("OSV_URL", "https://api.osv.dev"))
    database = parser.parse_args(words).database.rstrip("/")
    try:
        components = everything_locked()
        allowed = accepted(ACCEPTED.read_text(), datetime.now(timezone.utc).date())
        found = known_vulnerabilities(components, database)
    except NotAuditedError as reason:
        print(f"NOT AUDITED: {reason}", file=sys.stderr)
        return NOT_AUDITED
    bad = {one: [name for name in names if name not in allowed] for one, names in found.items()}
    for one, names in bad.items():
        for name in names:
            print(f"{name}: {one.ecosystem} {one.name} {one.version}")
    count = sum(map(len, bad.values()))
    print(f"{len(found)} of {len(components)} locked components audited, {count} vulnerabilities that nobody accepted")
    return VULNERABLE if count else 0


if __name__ == "__main__":
    sys.exit(main())
