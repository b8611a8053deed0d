"""`python -m lineage_pipeline.local.fetch SET...`: sets of jars into the cache; for images, where no run may wait."""

from __future__ import annotations

import os

import click
from rich.console import Console

from lineage_pipeline.local.jars import cache_folder, fetch_jars


@click.command()
@click.argument("sets", nargs=-1, required=True)
def main(sets: tuple[str, ...]) -> None:
    """Fetch the jars of these sets of jars.lock, or see that they are there."""
    for name in sets:
        fetch_jars(name, cache=cache_folder(os.environ), progress=Console(stderr=True))


if __name__ == "__main__":
    main()
