"""`make compose-test`: docker-compose.yml for real, with podman: to a clean audit, through kills, to a due alarm.

Ends with 0 only if every step was seen. Without podman it ends with 3 and says so: nothing was tested.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.compose.canaries import no_planted_secret
from tests.compose.cost import measure
from tests.compose.images import OURS, ROOT, build_all
from tests.compose.stack import Stack
from tests.compose.story import ALL_AT_ONCE, RESTARTS_BY_ITSELF, story

NOT_TESTED = 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.compose", description=__doc__)
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--build", action="store_true", help="only build the images")
    chosen.add_argument("--measure", action="store_true", help="print what each service costs, instead of the test")
    parser.add_argument(
        "--victims",
        default=",".join((*RESTARTS_BY_ITSELF, ALL_AT_ONCE)),
        help="services to kill, one after the other; `all` kills every one in the same moment (default: %(default)s)",
    )
    given = parser.parse_args()
    if shutil.which("podman") is None:
        print(
            "NOT TESTED: podman is not installed (.ci/containers does it), so no container was started", file=sys.stderr
        )
        return NOT_TESTED
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    os.environ["CONTAINERS_CONF"] = str(ROOT / "tests/compose/containers.conf")
    began = time.monotonic()
    images = build_all()
    no_planted_secret(images[variable] for variable in OURS.values())
    print(f"images are built: after {time.monotonic() - began:.0f} s", flush=True)
    if given.build:
        return 0
    with tempfile.TemporaryDirectory(prefix="lineage-compose-") as folder:
        stack = Stack(images, Path(folder))
        stack.compose("down", "--volumes", check=False)  # of a run that was killed
        try:
            if given.measure:
                measure(stack)
                return 0
            story(stack, [one for one in given.victims.split(",") if one])
        except BaseException:
            stack.compose("logs", "--tail", "40", check=False)
            raise
        finally:
            stack.compose("down", "--volumes", check=False)
    took = time.monotonic() - began
    print(f"the stack was brought up, killed service by service, and audited: all as promised, in {took:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
