"""The command line as a user meets it: help, exit codes, and one sentence instead of a traceback."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from lineage_pipeline.cli import lineage
from lineage_pipeline.errors import SetupError
from tests.books.index_files import day, parquet, put
from tests.books.index_files import run as rows
from tests.books.lake_tables import data_file, hour, span


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


def every_group() -> list[str]:
    context = click.Context(lineage)
    named = {name: lineage.get_command(context, name) for name in lineage.list_commands(context)}
    return [name for name, command in named.items() if isinstance(command, click.Group)]


@pytest.mark.parametrize("name", every_group())
def test_every_group_has_an_example_too(name: str) -> None:
    done = CliRunner().invoke(lineage, [name, "--help"])
    assert "Example: lineage" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("audit", "--topic", ""),
        ("audit", "--topic", " "),
        ("audit", "--baseline", ""),
        ("audit", "--html", ""),
        ("audit", "--books", ""),
        ("accept", "0", "1", "2", "--reason", "x", "--author", ""),
        ("accept", "0", "1", "2", "--reason", ""),
        ("quarantine", "--class", ""),
        ("quarantine", "replay", "--topic", ""),
        ("metrics", "--listen", ""),
        ("metrics", "--output", ""),
        ("sql", ""),
        ("produce", "--topic", ""),
        ("prepare", "--wait", "nan"),
        ("job", "run", "--state-ttl", "nan"),
        ("job", "run", "--state-ttl", "inf"),
        ("produce", "--poison", "nan"),
    ],
)
def test_a_value_that_is_none_is_refused_and_nothing_else_is_done(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(lineage, words)
    assert done.exit_code == 2
    assert "is empty: give a value" in done.stderr or "is not finite" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("words", ["--help", "sql --csv 'FROM range(9)'"])
@pytest.mark.parametrize("output", ["> /dev/full", "| true; exit ${PIPESTATUS[0]}"])
def test_what_nobody_could_read_ends_with_4_whatever_was_asked(tmp_path: Path, words: str, output: str) -> None:
    done = in_bash(f"{words} {output}", tmp_path)
    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    assert "lineage: " in done.stderr


@pytest.mark.parametrize("words", ["audit --books index", "sql 'FROM range(9)'", "job plan --columns"])
def test_a_closed_stdout_leaves_the_exit_code(tmp_path: Path, words: str) -> None:
    put(tmp_path / "offset-index", day("lineage-input", "p"), parquet([rows(0, 0, 20)]))
    done = in_bash(f"{words} >&-", tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)


def test_a_page_that_would_be_a_directory_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    done = run("audit", "--books", "index", "--html", "pages", cwd=tmp_path, **lake(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert "--html 'pages' names no file" in done.stderr


@pytest.mark.parametrize(("command", "way_out"), [("demo", ""), ("up", "or leave it out with --no-dagster")])
@pytest.mark.parametrize("package", ["dagster", "dagster_webserver"])
def test_without_dagster_nothing_is_started_and_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, way_out: str, package: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    done = CliRunner().invoke(lineage, [command])
    assert isinstance(done.exception, SetupError)
    assert "Dagster is not installed" in str(done.exception)
    assert "pip install -e '.[dagster]'" in str(done.exception)
    assert way_out in str(done.exception)
    assert ("--no-dagster" in str(done.exception)) == (command == "up")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"), [(("repair",), "no repair of lineage-input so far"), (("quarantine", "replay"), "no replay of")]
)
def test_a_history_of_nothing_says_so_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(lineage, [*words, "--history"], env=lake(tmp_path))
    assert (done.exit_code, done.stdout) == (0, "")
    assert said in done.stderr
    assert str(tmp_path / "offset-index") in done.stderr


def in_bash(words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = f"{sys.executable} -m lineage_pipeline {words}"
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(folder), **lake(folder)}
    return subprocess.run(
        ["/bin/bash", "-c", command], cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=120
    )


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


@pytest.mark.parametrize("query", ["SELECT CAST('a' AS INT)", "SELECT error('no')"])
def test_a_query_that_fails_while_it_runs_is_a_usage_error_too(tmp_path: Path, query: str) -> None:
    done = run("sql", query, cwd=tmp_path, **lake(tmp_path))
    assert done.returncode == 2
    assert "the query failed: " in done.stderr
    assert "Traceback" not in done.stderr


def test_sql_over_a_broken_file_names_it_and_says_who_judges_it(tmp_path: Path) -> None:
    put(tmp_path / "offset-index", day("lineage-input", "p"), b"PAR1 nothing of the kind PAR1")
    done = run("sql", "FROM data", cwd=tmp_path, **lake(tmp_path))
    assert done.returncode == 4
    assert "the view offset_index cannot be made" in done.stderr
    assert "dt=2026-11-22/p" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [("--named", "islands"), ("--named", "count-gaps"), ("FROM data",)])
def test_sql_over_a_place_without_any_file_has_found_out_nothing(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = run("sql", "--json", *words, cwd=tmp_path, **lake(tmp_path))
    assert (done.returncode, done.stdout) == (3, "[]\n")
    assert f"offset_index has no files at {tmp_path}" in done.stderr


def test_a_named_query_without_an_index_is_no_answer_and_other_tables_can_be_asked(tmp_path: Path) -> None:
    put(tmp_path / "output", hour("lineage-input", "p"), data_file(span(0, 0, 10)))
    named, asked = (
        run("sql", *words, cwd=tmp_path, **lake(tmp_path)) for words in (("--named", "islands"), ("FROM data",))
    )
    assert (named.returncode, asked.returncode) == (3, 0)


def test_json_of_sql_is_json_whatever_the_values_are(tmp_path: Path) -> None:
    query = "SELECT 'nan'::DOUBLE AS a, ['inf'::DOUBLE, 1.5::DOUBLE] AS b, {'x': '-inf'::FLOAT} AS c, 'z'::BLOB AS d"
    done = run("sql", query, "--json", cwd=tmp_path, **lake(tmp_path))
    told = json.loads(done.stdout, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert told == [{"a": "nan", "b": ["inf", 1.5], "c": {"x": "-inf"}, "d": "7a"}]


def test_json_of_sql_loses_no_column_of_the_same_name(tmp_path: Path) -> None:
    done = run("sql", "SELECT 1 AS a, 2 AS a", "--json", cwd=tmp_path, **lake(tmp_path))
    assert done.returncode == 2
    assert "column 'a' is there twice" in done.stderr


def test_long_work_is_shown_at_a_terminal_and_nowhere_else(tmp_path: Path) -> None:
    put(tmp_path / "offset-index", day("lineage-input", "p"), parquet([rows(0, 0, 10)]))
    put(tmp_path / "output", hour("lineage-input", "p"), data_file(span(0, 0, 10)))
    words = [sys.executable, "-m", "lineage_pipeline", "audit", "--books", "index,lake", "--json"]
    ours, theirs = pty.openpty()
    environ = {"PATH": "/usr/bin:/bin", "TERM": "xterm", **lake(tmp_path)}
    done = subprocess.run(
        words, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=theirs, check=False, timeout=120
    )
    os.close(theirs)
    assert b"looking at files" in os.read(ours, 100_000)
    os.close(ours)
    assert json.loads(done.stdout)["verdict"] == "complete"
    assert run(*words[3:], cwd=tmp_path, **lake(tmp_path)).stderr == ""


def test_audits_that_remember_do_not_import_pandas(tmp_path: Path) -> None:
    environ = {"PYTHONPROFILEIMPORTTIME": "1", "AUDIT_PATH": str(tmp_path / "audit"), **lake(tmp_path)}
    for number in range(2):  # the second reads what the first has stored
        content = parquet([rows(0, 10 * number, 10 * number + 10)])
        put(tmp_path / "offset-index", day("lineage-input", f"p{number}"), content)
        done = run("audit", "--books", "index", cwd=tmp_path, **environ)
        assert done.returncode == 0, done.stderr
        assert list((tmp_path / "audit").rglob("_fold.parquet"))
        lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
        imported = {line.rpartition("|")[2].strip() for line in lines}
        assert {"pyarrow.parquet", "lineage_pipeline.books.fold_file"} <= imported
        assert "pandas" not in imported


def test_sql_says_which_tables_have_no_files(tmp_path: Path) -> None:
    put(tmp_path / "offset-index", day("lineage-input", "p"), parquet([rows(0, 0, 10)]))
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
