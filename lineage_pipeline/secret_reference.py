"""Secrets by reference: settings say where one is, never what it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from lineage_pipeline.errors import SettingsError

_SECRET_KEY: Final = re.compile(
    r"password|passphrase|secret|token|jaas|credential|access_key|user\.info|\.pem$|keystore\.key$", re.IGNORECASE
)
_NO_SECRET: Final = (".url", ".location", ".file", "_FILE", ".source")  # where something is, not what it is


class SecretReference(BaseModel):
    """Where a secret is, never the secret: `{env: NAME}` or `{file: PATH}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    env: str | None = None
    file: Path | None = None

    def resolve(self, environ: Mapping[str, str]) -> SecretStr:
        """The secret itself. Raises SettingsError when the variable or file is not there."""
        if self.env is not None:
            if self.env not in environ:
                raise SettingsError(
                    f"the environment variable {self.env} is not set, but the settings refer to it: export it"
                )
            return SecretStr(environ[self.env])
        if self.file is not None:
            try:
                return SecretStr(self.file.read_text().strip())
            except UnicodeDecodeError:
                raise SettingsError(f"the secret file {self.file} cannot be read as text: write UTF-8") from None
            except OSError as error:
                raise SettingsError(
                    f"the secret file {self.file} cannot be read ({error.strerror}): check path and rights"
                ) from None
        raise SettingsError("a secret reference needs `env: NAME` or `file: PATH`")


def is_secret(name: str) -> bool:
    """Whether a property of that name holds a secret, by its name."""
    return bool(_SECRET_KEY.search(name)) and not name.endswith(_NO_SECRET)


def resolved_properties(properties: Any, environ: Mapping[str, str]) -> dict[str, SecretStr]:
    """Kafka client properties with their secrets. Raises SettingsError for a secret written out, or not there."""
    if not isinstance(properties, dict):
        raise SettingsError("kafka.properties must be a mapping of client properties")
    resolved = {}
    for key, value in properties.items():
        if isinstance(value, dict):
            resolved[key] = _reference(key, value).resolve(environ)
        elif is_secret(str(key)):
            raise SettingsError(
                f"kafka.properties.{key} is written out: refer to it instead, `{{env: NAME}}` or `{{file: PATH}}`"
            )
        elif not isinstance(value, (str, int, float)):
            raise SettingsError(f"kafka.properties.{key} must be one value, not {_kind(value)}: write it as text")
        else:
            resolved[key] = SecretStr(str(value).lower() if isinstance(value, bool) else str(value))
    return resolved


def _reference(key: object, value: dict[str, Any]) -> SecretReference:
    """The reference. Raises SettingsError unless it names one place."""
    try:
        found = SecretReference.model_validate(value)
    except ValidationError:
        raise SettingsError(f"kafka.properties.{key}: a reference is `{{env: NAME}}` or `{{file: PATH}}`") from None
    if (found.env is None) == (found.file is None):
        raise SettingsError(f"kafka.properties.{key} needs `env: NAME` or `file: PATH`, and not both")
    return found


def _kind(value: object) -> str:
    return "nothing" if value is None else "a list" if isinstance(value, list) else type(value).__name__
