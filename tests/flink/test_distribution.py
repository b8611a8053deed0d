"""A Flink cluster's configuration as it is written for the distribution's own scripts."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from lineage_pipeline.cluster_command import flink_configuration
from lineage_pipeline.errors import SetupError, UsageError
from lineage_pipeline.flink.distribution import command, environment, set_up


def test_the_configuration_may_hold_secrets_and_is_its_owners_alone(tmp_path: Path) -> None:
    set_up(tmp_path, {"s3.secret-key": "a-secret", "rest.port": "8081"}, [])
    path = tmp_path / "conf" / "config.yaml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    options = yaml.safe_load(path.read_text())
    assert (options["s3.secret-key"], options["rest.port"]) == ("a-secret", "8081")
    assert "--add-opens" in options["env.java.opts.all"]


def test_beam_never_logs_the_environment(tmp_path: Path) -> None:
    set_up(tmp_path, {}, [])
    text = (tmp_path / "conf" / "log4j-console.properties").read_text()
    assert "logger.beam.name = org.apache.beam.runners.fnexecution.control.DefaultJobBundleFactory" in text
    assert "logger.beam.level = ERROR" in text
    assert "rootLogger.appenderRef" in text, "Flink's own configuration is kept"


def test_the_plugin_is_in_a_folder_of_its_own_and_leaves_with_its_jars(tmp_path: Path) -> None:
    jar = tmp_path / "s3.jar"
    jar.write_bytes(b"jar")
    set_up(tmp_path / "here", {}, [jar])
    assert [path.read_bytes() for path in (tmp_path / "here" / "plugins").glob("*/*.jar")] == [b"jar"]
    set_up(tmp_path / "here", {}, [])
    assert list((tmp_path / "here" / "plugins").glob("*/*")) == []


def test_a_directory_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(SetupError, match="cannot hold"):
        set_up(tmp_path / "taken", {}, [])


def test_the_scripts_are_those_of_the_wheel(tmp_path: Path) -> None:
    words = command("taskmanager")
    assert Path(words[1]).is_file()
    assert words[2] == "start-foreground"
    variables = environment(tmp_path, Path("/java"))
    assert variables["FLINK_CONF_DIR"] == str(tmp_path / "conf")
    assert Path(variables["FLINK_HOME"], "lib").is_dir()


def test_options_are_key_and_value() -> None:
    assert flink_configuration(("a.b=c=d", "e=")) == {"a.b": "c=d", "e": ""}
    for wrong in ("a", "=b", " =b"):
        with pytest.raises(UsageError, match="KEY=VALUE"):
            flink_configuration((wrong,))
