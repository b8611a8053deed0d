"""The command line as a user meets it: help, exit codes, and one sentence instead of a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from lineage_pipeline.cli import lineage
from tests.books.index_files import day, parquet, put
from tests.books.index_files import run as rows


def run(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lineage_pipeline", *arguments],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "HOME": str(cwd), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def every_command() -> list[tuple[str, click.Command]]:
    context = click.Context(lineage)
    found: list[tuple[str, click.Command]] = []
    for name in lineage.list_commands(context):
        command = lineage.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found += [(f"{name} {child}", one) for child, one in command.commands.items()]
        else:
            found.append((name, command))
    return found


@pytest.mark.parametrize(("name", "command"), every_command(), ids=[name for name, _ in every_command()])
def test_every_command_has_an_example_and_takes_a_settings_file(name: str, command: click.Command) -> None:
    text = command.get_help(click.Context(command, info_name=name))
    assert "Example" in text
    assert "--config" in text


def test_help_lists_all_commands(tmp_path: Path) -> None:
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0
    for word in ("demo", "up", "produce", "job", "audit", "locate", "sql"):
        assert f"  {word} " in done.stdout


def test_an_unknown_setting_is_a_usage_error_that_names_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "lineage.yaml").write_text("topics: [{name: t, setle: 3}]")
    done = run("audit", cwd=tmp_path)
    assert done.returncode == 2
    assert "setle" in done.stderr
    assert "did you mean `settle`" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_settings_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    done = run("audit", "--config", "nowhere.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "nowhere.yaml" in done.stderr


@pytest.mark.parametrize("before", [None, "elsewhere.yaml"])
def test_a_settings_file_is_named_for_one_command_and_not_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    if before:
        monkeypatch.setenv("LINEAGE_CONFIG", before)
    (tmp_path / "one.yaml").write_text(f"lake: {tmp_path}\ntopics: [{{name: orders}}]")
    done = CliRunner().invoke(lineage, ["audit", "--books", "index", "--config", str(tmp_path / "one.yaml")])
    assert "orders" in done.stdout
    assert os.environ.get("LINEAGE_CONFIG") == before


def test_an_audit_of_nothing_at_all_is_undetermined(tmp_path: Path) -> None:
    done = run("audit", "--books", "index", cwd=tmp_path, OFFSET_INDEX_PATH=str(tmp_path / "none"))
    assert done.returncode == 3, done.stderr
    assert "UNDETERMINED" in done.stdout


def test_an_unknown_topic_among_several_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "lineage.yaml").write_text("topics: [{name: orders}, {name: payments}]")
    assert run("audit", cwd=tmp_path).returncode == 2
    done = run("audit", "--topic", "order", cwd=tmp_path)
    assert done.returncode == 2
    assert "did you mean `orders`" in done.stderr


@pytest.mark.parametrize("how", ["--json", ""])
@pytest.mark.parametrize("lost", [0, 1])
@pytest.mark.parametrize("output", ["> /dev/full", "| true; exit ${PIPESTATUS[0]}"])
def test_a_report_that_nobody_could_read_is_no_verdict(tmp_path: Path, how: str, lost: int, output: str) -> None:
    put(tmp_path / "offset-index", day("lineage-input", "p"), parquet([rows(0, 0, 10), rows(0, 10 + lost, 20)]))
    command = f"{sys.executable} -m lineage_pipeline audit --books index {how} {output}"
    environ = {"PATH": "/usr/bin:/bin", **lake(tmp_path)}
    done = subprocess.run(["/bin/bash", "-c", command], cwd=tmp_path, env=environ, check=False, timeout=120)
    assert done.returncode == 4


def test_a_bad_query_is_a_usage_error_in_duckdbs_words(tmp_path: Path) -> None:
    done = run("sql", "SELEC 1", cwd=tmp_path, **lake(tmp_path))
    assert done.returncode == 2
    assert "syntax error" in done.stderr
    assert "Traceback" not in done.stderr


def test_sql_says_which_tables_have_no_files(tmp_path: Path) -> None:
    done = run("sql", "SELECT count(*) AS n FROM data", "--json", cwd=tmp_path, **lake(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == '[{"n": 0}]'
    assert "note: data has no files at" in done.stderr


def test_the_job_does_not_start_without_its_broker(tmp_path: Path) -> None:
    (tmp_path / "lineage.yaml").write_text(f"kafka: {{bootstrap_servers: '127.0.0.1:1'}}\nlake: {tmp_path}/lake\n")
    done = subprocess.run(  # with the machine's whole environment: it may have to fetch the job's jars first
        [sys.executable, "-m", "lineage_pipeline", "job", "run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 4, done.stderr
    assert "127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr


def lake(folder: Path) -> dict[str, str]:
    return {
        "OUTPUT_PATH": str(folder / "output"),
        "OFFSET_INDEX_PATH": str(folder / "offset-index"),
        "QUARANTINE_PATH": str(folder / "quarantine"),
    }
