"""The page of a report: the JSON's values, nothing foreign that runs, bounded, and said when it fails."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from fnmatch import fnmatch
from pathlib import Path
from subprocess import run as run_program
from typing import Any

import pytest
from click.testing import CliRunner

import lineage_pipeline.report_page as module
from lineage_pipeline.accept import Acceptance, accept_gap
from lineage_pipeline.audit_command import audit_command
from lineage_pipeline.audit_topic import audit_topic
from lineage_pipeline.books.audit_state import AuditState
from lineage_pipeline.core.audit import audit
from lineage_pipeline.core.coverage_map import SEVERITY
from lineage_pipeline.core.evidence import AuditEvidence, AuditRules
from lineage_pipeline.core.findings import Finding
from lineage_pipeline.core.history import AuditHistory
from lineage_pipeline.core.ledger_events import BaselinesLeft, GapAccepted, GapChanged, Incarnation
from lineage_pipeline.core.offsets import OffsetRange, RangeSet
from lineage_pipeline.core.report import AuditReport
from lineage_pipeline.errors import StoreError, UsageError
from lineage_pipeline.remembering import PAGE
from lineage_pipeline.report_page import MAX_DRAWN, MAX_RANGES, MAX_STRIPS, drawn_page, report_page
from tests.books.index_files import run
from tests.core.test_report_golden import LOSS, NOTHING, RICH
from tests.core.worlds import NOW, Row, World, evidence_of
from tests.html_page import Page
from tests.test_remembering import SETTLE, TOPIC, Lake

ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "p", "span", "code", "br", "div"),
    *("ol", "ul", "li", "dl", "dt", "dd", "table", "tr", "th", "td"),
    *("svg", "defs", "pattern", "path", "circle", "rect", "g", "text"),
}
EVIL = '<script>alert(1)</script>"><img src=x onerror=alert(2)>\u202egnp.x\x07\ud800 {{ 7 * 7 }}'


@pytest.fixture
def lake() -> Lake:
    return Lake()


def stored(lake: Lake) -> Page:
    return Page(lake.kept.objects[f"kafka_topic={TOPIC}/{PAGE}"][0])


@pytest.mark.parametrize("evidence", [LOSS, RICH, NOTHING], ids=["loss", "rich", "nothing"])
def test_the_page_has_every_value_of_the_json(evidence: AuditEvidence) -> None:
    report = audit(evidence)
    told, page = report.to_json(), Page(report_page(report, "s3://lake/latest.json"))
    assert told["verdict"] in page.text
    assert "2026-11-22 22:00:00Z" in page.text
    for name, value in told["totals"].items():
        assert f"{name} {value:,}" in page.text
    for one in told["partitions"]:
        (row,) = [row for row in page.rows if row[0] == str(one["partition"]) and row[1][2:] == one["verdict"]]
        assert row[-3:] == [str(one[key]) for key in ("baseline", "end", "complete_through")]
        for ranged in one["ranges"]:
            first, last = ranged["start"], ranged["end"] - 1
            where = str(first) if first == last else f"{first} to {last}"
            kind = [f"{last - first + 1:,}", ranged["class"], ranged["cause"] or "", ranged["evidence"]]
            assert [str(one["partition"]), where, *kind] in [row[:6] for row in page.rows]
    for one in told["findings"]:
        where = "topic" if one["partition"] is None else str(one["partition"])
        assert [one["severity"], one["kind"], where, one["text"]] in page.rows
    assert all(problem in page.text for problem in told["problems"])
    assert all(f"{name}: {status}" in page.text for name, status in told["books"].items())
    assert "s3://lake/latest.json" in page.text


def test_the_verdict_and_the_sentence_that_matters_come_first() -> None:
    text = Page(report_page(audit(LOSS))).text
    begin = text.index("✗ loss t 60 of 2,000 expected offsets in 1 partition are missing from the lake or damaged.")
    assert begin < text.index("What to do next") < text.index("Coverage") < text.index("Totals")


def test_the_map_has_a_row_per_partition_and_words_for_every_strip() -> None:
    page = Page(report_page(audit(RICH)))
    hovers = page.hovers[1:]  # the first title is the page's
    assert len(hovers) == len(page.named("rect"))
    assert "partition 0\nmissing (repairable): offset 6" in hovers
    assert any("\npending (open-transaction): offsets 30 to 32 (3)" in one for one in hovers)
    assert "partition 0\nduplicated: offsets 8 to 9 (2)" in hovers
    drawn = {str(one["class"]) for one in page.named("rect")}
    assert drawn == set(SEVERITY) - {"damaged"}


def test_every_class_has_a_look_of_its_own_in_light_and_dark() -> None:
    """Bad classes have a pattern beside their colour, so that they differ without it."""
    text = report_page(audit(LOSS)).decode()
    looks = dict(re.findall(r"\.(\w+) { fill: ([^;]+); }", text))
    assert set(looks) >= set(SEVERITY)
    assert len({looks[name] for name in SEVERITY}) == len(SEVERITY)
    patterns = set(re.findall(r'<pattern id="(\w+)"', text))
    assert patterns == {"missing", "damaged", "unknown", "pending", "accepted"}
    assert all(looks[name] == f"url(#{name})" for name in patterns)
    names = set(re.findall(r"var\(--(\w+)\)", text))
    light, dark = text.split("@media (prefers-color-scheme: dark)")
    for variable in names:
        assert f"--{variable}: #" in light
        assert f"--{variable}: #" in dark.split("* {")[0]


def harmless(page: Page) -> None:
    assert {name for name, _ in page.elements} <= ALLOWED
    for name, attributes in page.elements:
        assert not [key for key in attributes if key.startswith("on") or key in {"src", "href", "srcdoc"}]
        assert not [value for value in attributes.values() if value and "://" in value], name
    (policy,) = [one for one in page.named("meta") if one.get("http-equiv")]
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"


def evil_report() -> AuditReport:
    """Foreign text wherever a value can hold any."""
    report = audit(RICH)
    (one,) = report.partitions
    incarnation = Incarnation(EVIL, EVIL)
    return replace(
        report,
        topic=EVIL,
        cluster_id=EVIL,
        topic_id=EVIL,
        problems=(EVIL,),
        findings=(Finding(EVIL, "warn", 0, EVIL), Finding("stuck-transaction", "error", 0, EVIL)),
        partitions=(replace(one, ranges=tuple(replace(ranged, evidence=EVIL) for ranged in one.ranges)),),
        history=AuditHistory(
            audits=3,
            since=NOW,
            gaps=(GapChanged(NOW, incarnation, 0, RangeSet.of((1, 2)), "opened"),),
            acceptances=(GapAccepted(NOW, incarnation, 0, OffsetRange(1, 2), EVIL, EVIL),),
            left=(BaselinesLeft(NOW, EVIL, {0: 5}),),
            incarnation=Incarnation("c", "t"),
        ),
    )


def test_foreign_text_is_text() -> None:
    page = Page(report_page(evil_report(), EVIL))
    harmless(page)
    shown = r'<script>alert(1)</script>"><img src=x onerror=alert(2)>\u202egnp.x\u0007\ud800 {{ 7 * 7 }}'
    assert page.text.count(shown) >= 10
    assert shown in page.hovers[0]
    assert "\u202e" not in page.text


def test_the_plain_page_escapes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> bytes:
        raise ValueError(EVIL)

    monkeypatch.setattr(module, "report_page", fail)
    data, failure = drawn_page(evil_report())
    page = Page(data)
    assert {name for name, _ in page.elements} <= ALLOWED
    assert failure is not None
    assert "UNDETERMINED" in page.text or "LOSS" in page.text


@pytest.mark.parametrize("evidence", [LOSS, RICH, NOTHING], ids=["loss", "rich", "nothing"])
def test_a_page_needs_nothing_from_elsewhere(evidence: AuditEvidence) -> None:
    data = report_page(audit(evidence), "s3://lake/latest.json")
    harmless(Page(data))
    assert b"@import" not in data
    assert not re.findall(rb"url\((?!#)", data)


def test_a_thousand_partitions_and_a_hundred_thousand_ranges_stay_a_small_page_that_says_what_it_left_out() -> None:
    rows = tuple(Row(number, start * 10, start * 10 + 9) for number in range(1000) for start in range(101))
    report = audit(evidence_of(World(rows=rows, start=None)))
    assert sum(len(one.ranges) for one in report.partitions) == 100_000
    data = report_page(report)
    page = Page(data)
    assert len(data) < 2_000_000
    assert len(page.named("rect")) <= MAX_STRIPS + MAX_DRAWN
    for words in (
        f"Cut: the worst {MAX_RANGES} of 100,000 ranges are shown; the JSON has all of them.",
        f"Cut: the worst {MAX_DRAWN} of 1,000 partitions are shown",
        "Cut: the worst 500 of 1,000 partitions are shown",
    ):
        assert words in page.text
    assert "Cut:" not in Page(report_page(audit(RICH))).text


def test_long_sentences_are_cut_with_a_count() -> None:
    report = replace(audit(LOSS), problems=("x" * 5_000,), findings=(Finding("k", "info", None, "y" * 900),) * 300)
    text = Page(report_page(report)).text
    assert "x ... (4400 characters more)" in text
    assert "Cut: the first 200 of 300 findings are shown" in text


# ---- with a ledger


def test_every_remembered_audit_stores_its_page_beside_the_ledger(lake: Lake) -> None:
    lake.rows(run(0, 0, 10))
    lake.end(10)
    lake.audit()
    assert "✓ complete" in stored(lake).text
    assert "1 audits" in stored(lake).text
    assert "No audit has seen a gap" in stored(lake).text
    assert f"kafka_topic={TOPIC}/latest.json" in stored(lake).text
    lake.audit(store=False)
    assert "1 audits" in stored(lake).text  # an audit that may write nothing wrote nothing


def test_the_page_tells_the_history_of_a_gap(lake: Lake) -> None:
    lake.rows(run(0, 0, 5), run(0, 7, 10))
    lake.audit(broker=False)
    at = f"{lake.now:%Y-%m-%d %H:%M:%SZ}"
    assert [at, "opened", "0", "2", "5 to 6"] in stored(lake).rows
    lake.wait()
    state = AuditState(lake.kept, TOPIC, lake.index)
    accept_gap(state, Acceptance(0, OffsetRange(5, 6), "test <b>records", "ann"), AuditRules(), lake.now)
    lake.wait()
    lake.rows(run(0, 6, 7))
    lake.audit(broker=False)
    page = stored(lake)
    kinds = [(row[1], row[4]) for row in page.rows if len(row) == 5 and row[1] in {"opened", "healed", "accepted"}]
    assert kinds == [("healed", "6"), ("accepted", "5"), ("opened", "5 to 6")]
    accepted = f"{lake.now - timedelta(seconds=SETTLE):%Y-%m-%d %H:%M:%SZ}"
    assert [accepted, "0", "5", "1", "ann", "test <b>records"] in page.rows


def test_the_page_tells_where_accounting_began_before(lake: Lake) -> None:
    lake.deploy("w1", start_offsets={0: 3})
    lake.rows(run(0, 3, 10))
    lake.end(10)
    lake.audit()
    lake.broker.topic_ids[TOPIC] = "topic-2"
    lake.end(0)
    lake.audit()
    text = stored(lake).text
    assert "Earlier baselines" in text
    assert "cluster-1/topic-1 was recreated or left" in text
    assert "partition 0 from 3" in text


def test_a_page_that_cannot_be_drawn_is_said_and_changes_nothing_else(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> bytes:
        raise ZeroDivisionError("no room")

    lake.rows(run(0, 0, 10))
    lake.end(10)
    lake.audit()
    monkeypatch.setattr(module, "report_page", fail)
    report = lake.audit()
    assert report.verdict == "complete"
    (finding,) = [one for one in report.findings if one.kind == "page-failed"]
    assert "could not be drawn (ZeroDivisionError: no room)" in finding.text
    assert finding.severity == "warn"
    assert lake.stored("latest.json") == report.to_json()
    assert "could not be drawn" in stored(lake).text  # and not the page of the audit before


def test_a_page_that_cannot_be_stored_is_said(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    put = lake.kept.put

    def refuse(key: str, data: bytes) -> None:
        if key.endswith(PAGE):
            raise StoreError("no space for it")
        put(key, data)

    monkeypatch.setattr(lake.kept, "put", refuse)
    lake.rows(run(0, 0, 10))
    lake.end(10)
    report = lake.audit()
    assert report.verdict == "complete"
    assert "no space for it" in next(one.text for one in report.findings if one.kind == "page-failed")


# ---- the command


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    lake = Lake()
    key = lake.rows(run(9, 0, 1900), run(9, 1960, 2000))
    file = tmp_path / "index" / key
    file.parent.mkdir(parents=True)
    file.write_bytes(lake.index.objects[key][0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OFFSET_INDEX_PATH", str(tmp_path / "index"))
    return tmp_path


def audited(*options: str) -> int:
    done = CliRunner().invoke(audit_command, ["--books", "index", *options])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code


@pytest.mark.parametrize("name", ["page.html", "./page.html", "{here}/page.html", "file://{here}/page.html"])
def test_the_command_writes_the_page_where_it_is_told(place: Path, name: str) -> None:
    assert audited("--html", name.format(here=place)) == 1
    page = Page((place / "page.html").read_bytes())
    assert "✗ loss lineage-input" in page.text
    assert "not remembered: set AUDIT_PATH" in page.text
    assert not [one for one in place.iterdir() if one.name not in {"page.html", "index"}]


def test_the_page_of_the_command_has_the_history_too(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_PATH", str(place / "audit"))
    assert audited("--html", "page.html") == 1
    page = (place / "page.html").read_bytes()
    assert page == (place / "audit" / f"kafka_topic={TOPIC}" / PAGE).read_bytes()
    assert b"1900 to 1959" in page


@pytest.mark.parametrize("name", ["nowhere/page.html", "page/", "/", "ftp://x/page.html"])
def test_a_place_for_the_page_that_cannot_be_is_refused_before_the_audit(
    place: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("AUDIT_PATH", str(place / "audit"))
    with pytest.raises(UsageError):
        audited("--html", name)
    assert not (place / "audit").exists()


def test_everything_that_is_no_python_is_packed_into_the_wheel() -> None:
    root = Path(module.__file__).parents[1]
    listed = run_program(["git", "ls-files", "lineage_pipeline"], cwd=root, capture_output=True, text=True, check=True)
    files = [Path(one).relative_to("lineage_pipeline") for one in listed.stdout.split() if not one.endswith(".py")]
    section = (root / "pyproject.toml").read_text().split("[tool.setuptools.package-data]")[1].split("[")[1]
    patterns = json.loads(f"[{section.split(']')[0]}]")
    assert Path("templates/report.html") in files
    for one in files:
        assert any(fnmatch(f"/{one}", pattern.replace("**/", "*/")) or one.name == pattern for pattern in patterns), one


def test_the_report_itself_is_not_changed_by_its_page(lake: Lake) -> None:
    lake.rows(run(0, 0, 5), run(0, 7, 10))
    request = lake.request(broker=False)
    report = audit_topic(request, lambda: lake.now)
    assert lake.stored("latest.json") == report.to_json()
    assert not [one for one in report.findings if one.kind == "page-failed"]
