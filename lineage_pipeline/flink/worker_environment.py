"""The environment variables of a Python worker, those of secrets included.

On a cluster a worker inherits its task manager's environment. In a mini cluster it runs inside the job's own process,
whose secrets `hide_secrets` has taken out of the environment before the JVM could inherit them; they are kept here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

_hidden: dict[str, str] = {}


def hide_secrets(secrets: Iterable[str]) -> None:
    """Take the variables that hold one of the `secrets` out of this process's environment, before the JVM inherits it.

    Beam, under the Python operators, writes the whole environment to Flink's log. The job has its secrets from its
    options, its workers from `worker_environment`.
    """
    hidden = set(secrets)
    for name in [name for name, value in os.environ.items() if value in hidden]:
        _hidden[name] = os.environ.pop(name)


def worker_environment() -> Mapping[str, str]:
    """All variables, hidden or not."""
    return {**_hidden, **os.environ}
