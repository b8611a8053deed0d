"""The Flink distribution in the PyPI wheel, set up in a directory to run as JobManager or TaskManager of a cluster."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from importlib import util
from pathlib import Path
from typing import Literal

import yaml

from lineage_pipeline.errors import SetupError
from lineage_pipeline.flink.file_systems import PLUGIN

Role = Literal["jobmanager", "taskmanager"]
_PRIVATE = 0o600
_DEFAULTS = {
    "jobmanager.memory.process.size": "1024m",
    "taskmanager.memory.process.size": "1728m",
    # a process that is gone is noticed by its silence at the latest after this
    "heartbeat.interval": "2 s",
    "heartbeat.timeout": "20 s",
    # 0: a job waits for a TaskManager that comes back, however old the cluster is (else only in its first five minutes)
    "resourcemanager.standalone.start-up-time": "0",
}
# Beam, below the Python operators, writes its process's environment to the log at INFO.
_LOGGERS = """
logger.beam.name = org.apache.beam.runners.fnexecution.control.DefaultJobBundleFactory
logger.beam.level = ERROR
"""


def distribution() -> Path:
    """Flink's home in the wheel, found without importing it. Raises SetupError when it is not installed."""
    found = util.find_spec("pyflink")
    home = Path(found.origin).parent if found is not None and found.origin else None
    if home is None or not (home / "bin" / "jobmanager.sh").is_file():
        raise SetupError("the Flink distribution is not installed: pip install 'flink-lineage[flink,local]'")
    return home


def set_up(directory: Path, options: Mapping[str, str], plugin_jars: Sequence[Path]) -> None:
    """Write conf/ (which may hold secrets: for its owner alone), plugins/ and log/ below `directory`.

    `plugin_jars` become the S3 plugin. Raises SetupError when the directory cannot be used.
    """
    source = distribution() / "conf"
    shipped = yaml.safe_load((source / "config.yaml").read_text(encoding="utf-8"))
    java = {"env.java.opts.all": shipped["env"]["java"]["opts"]["all"]}  # what Java 17 must allow Flink
    logging = (source / "log4j-console.properties").read_text(encoding="utf-8") + _LOGGERS
    try:
        for name in ("conf", "plugins", "log"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump({**java, **_DEFAULTS, **options}, sort_keys=False)
        _write_private(directory / "conf" / "config.yaml", text)
        (directory / "conf" / "log4j-console.properties").write_text(logging, encoding="utf-8")
        plugin = directory / "plugins" / PLUGIN
        shutil.rmtree(plugin, ignore_errors=True)
        if plugin_jars:
            plugin.mkdir()
            for jar in plugin_jars:
                (plugin / jar.name).symlink_to(jar.absolute())
    except OSError as error:
        raise SetupError(f"{directory} cannot hold a Flink cluster's files ({error.strerror}): check rights") from None


def command(role: Role) -> list[str]:
    """What runs the role in the foreground."""
    return ["bash", str(distribution() / "bin" / f"{role}.sh"), "start-foreground"]


def environment(directory: Path, java_home: Path) -> dict[str, str]:
    """The variables that the distribution's scripts need beside the usual ones."""
    return {
        "JAVA_HOME": str(java_home),
        "FLINK_HOME": str(distribution()),
        "FLINK_CONF_DIR": str(directory / "conf"),
        "FLINK_PLUGINS_DIR": str(directory / "plugins"),
        "FLINK_LOG_DIR": str(directory / "log"),
        "FLINK_PID_DIR": str(directory),
    }


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "w", encoding="utf-8") as file:
        file.write(text)
