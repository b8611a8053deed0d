"""The `lineage` command: parse, call, exit code. What a command does stands in its own module.

Exit codes: 0 done or complete, 1 loss, 2 usage, 3 undetermined, 4 could not run.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from lineage_pipeline import __version__
from lineage_pipeline.errors import LineageError, OutputError

# name -> module and attribute; imported when the command is used, so that --help stays quick
_COMMANDS = {
    "demo": ("lineage_pipeline.local.demo_command", "demo_command"),
    "up": ("lineage_pipeline.local.up_command", "up_command"),
    "prepare": ("lineage_pipeline.local.prepare_command", "prepare_command"),
    "produce": ("lineage_pipeline.local.produce_command", "produce_command"),
    "job": ("lineage_pipeline.job_command", "job_command"),
    "cluster": ("lineage_pipeline.cluster_command", "cluster_command"),
    "audit": ("lineage_pipeline.audit_command", "audit_command"),
    "locate": ("lineage_pipeline.locate_command", "locate_command"),
    "index": ("lineage_pipeline.index_command", "index_command"),
    "accept": ("lineage_pipeline.ledger_command", "accept_command"),
    "complete-through": ("lineage_pipeline.ledger_command", "complete_through_command"),
    "metrics": ("lineage_pipeline.metrics_command", "metrics_command"),
    "sql": ("lineage_pipeline.sql_command", "sql_command"),
    "verify": ("lineage_pipeline.verify_command", "verify_command"),
    "repair": ("lineage_pipeline.repair_command", "repair_command"),
    "checkpoint": ("lineage_pipeline.checkpoint_command", "checkpoint_command"),
    "quarantine": ("lineage_pipeline.quarantine_command", "quarantine_command"),
}


class _LazyGroup(click.Group):
    """A group whose commands are imported on use; each takes --config, as the group does."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), attribute)
        _accept_config(command)
        for one in (command, *(command.commands.values() if isinstance(command, click.Group) else ())):
            _refuse_no_value(one)
        return command

    def make_context(self, *arguments: Any, **extra: Any) -> click.Context:
        """Parse; `--help` and `--version` write here already."""
        with _told_whole():
            return super().make_context(*arguments, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _told_whole():
            return super().invoke(ctx)


@contextmanager
def _told_whole() -> Iterator[None]:
    """What nobody could be told is no verdict: click and Rich would exit with 1, a loss. Raises OutputError."""
    try:
        try:
            yield
        except click.exceptions.Exit:
            sys.stdout.flush()
            raise
        sys.stdout.flush()  # not at the interpreter's end, when nothing can be said of it any more
    except (BrokenPipeError, SystemExit):  # no command of ours leaves by SystemExit, but Rich does on a closed pipe
        raise OutputError("whoever read the output went away before its end: run again") from None
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EIO, errno.EBADF}:
            raise OutputError(f"the output could not be written ({error.strerror}): look after the disk") from None
        raise


def _refuse_no_value(command: click.Command) -> None:
    """`--topic "$TOPIC"` with an unset variable means no topic, not the one that happens to be configured."""
    for parameter in command.params:
        if parameter.callback is None and not isinstance(parameter.type, click.types.BoolParamType):
            parameter.callback = _some_value


def _some_value(_context: click.Context, _parameter: click.Parameter, value: Any) -> Any:
    if isinstance(value, (str, Path)) and (not str(value).strip() or value == Path()):
        raise click.BadParameter("it is empty: give a value, or leave it out")
    if isinstance(value, float) and not math.isfinite(value):
        raise click.BadParameter(f"{value} is not finite: give a number")
    return value


def _accept_config(command: click.Command) -> None:
    if isinstance(command, click.Group):
        for child in command.commands.values():
            _accept_config(child)
        if not command.invoke_without_command:
            return
    if not any(parameter.name == "config" for parameter in command.params):
        command.params.append(_config_option())


@contextmanager
def _config_named(path: Path) -> Iterator[None]:
    """Name the file in the environment, for this command and the processes that it starts."""
    before = os.environ.get("LINEAGE_CONFIG")
    os.environ["LINEAGE_CONFIG"] = str(path.resolve())
    try:
        yield
    finally:
        if before is None:
            del os.environ["LINEAGE_CONFIG"]
        else:
            os.environ["LINEAGE_CONFIG"] = before


def _remember_config(context: click.Context, _parameter: click.Parameter, value: Path | None) -> None:
    if value is not None:
        context.with_resource(_config_named(value))


def _config_option() -> click.Option:
    return click.Option(
        ["--config"],
        type=click.Path(path_type=Path),
        expose_value=False,
        is_eager=True,
        callback=_remember_config,
        help="Settings file; LINEAGE_CONFIG or ./lineage.yaml otherwise.",
    )


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]}, params=[_config_option()])
@click.version_option(__version__, prog_name="lineage")
def lineage() -> None:
    """Prove that every record a Flink job moved from Kafka reached the lake.

    Example: lineage demo
    """


def main() -> None:
    """Run the command line; a LineageError becomes one sentence on stderr and its exit code.

    A defect is shown whole, with exit code 4: Python's own 1 would be taken for a loss.
    """
    _open_standard_streams()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        sys.exit(lineage(standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except LineageError as error:
        if isinstance(error, OutputError):  # Python writes out what is left when it ends, and would exit with 120
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        click.echo(f"lineage: {error}", err=True)
        sys.exit(error.exit_code)
    except Exception:  # noqa: BLE001 - whatever it is, it is no verdict
        traceback.print_exc()
        sys.exit(LineageError.exit_code)


def _open_standard_streams() -> None:
    """Who closed stdout (`>&-`) wants the exit code alone; and the next file to be opened must not get its number."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004 - stdin, stdout, stderr
        pass
    os.close(descriptor)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")
