"""`lineage cluster`: this process becomes a JobManager or a TaskManager of a Flink cluster."""

from __future__ import annotations

import os
from pathlib import Path

import click

from lineage_pipeline.errors import UsageError
from lineage_pipeline.flink.distribution import Role, command, environment, set_up
from lineage_pipeline.flink.file_systems import s3_options
from lineage_pipeline.local.jars import cache_folder, fetch_jars
from lineage_pipeline.local.java import check_python, find_java
from lineage_pipeline.settings import load_settings


@click.command("cluster")
@click.argument("role", type=click.Choice(["jobmanager", "taskmanager"]))
@click.option(
    "--directory", type=click.Path(path_type=Path), default=Path(".lineage/cluster"), show_default=True,
    help="For its configuration, plugins and logs; one for each process.",
)  # fmt: skip
@click.option("-D", "options", multiple=True, metavar="KEY=VALUE", help="An option of Flink's configuration.")
@click.option("--s3", is_flag=True, help="With the S3 file system, as the AWS_* variables say.")
def cluster_command(role: Role, directory: Path, options: tuple[str, ...], s3: bool) -> None:
    """Become a JobManager or TaskManager of a Flink session cluster, of the distribution in the PyPI wheel.

    Jobs come to it with FLINK_REST_URL. It runs in the foreground; a supervisor starts it again when it dies.

    Example: lineage cluster taskmanager --s3 -D jobmanager.rpc.address=flink-1 -D taskmanager.numberOfTaskSlots=4
    """
    check_python()
    given = flink_configuration(options)
    settings = load_settings({name: value for name, value in os.environ.items() if name.startswith("AWS_")})
    jars = fetch_jars("flink-s3", cache=cache_folder(os.environ)) if s3 else []
    directory = directory.absolute()
    set_up(directory, {**(s3_options(settings) if s3 else {}), **given}, jars)
    # The file system has the secrets from its configuration; Beam and whoever looks at a process need not see them.
    hidden = set(settings.secrets())
    kept = {name: value for name, value in os.environ.items() if value not in hidden}
    words = command(role)
    os.execvpe(words[0], words, {**kept, **environment(directory, find_java(os.environ).home)})  # noqa: S606 - by design


def flink_configuration(pairs: tuple[str, ...]) -> dict[str, str]:
    """The options of `KEY=VALUE` words. Raises UsageError for a word that is none."""
    found = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key.strip():
            raise UsageError(f"-D {pair!r} is no option: write KEY=VALUE")
        found[key.strip()] = value
    return found
