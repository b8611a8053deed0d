"""How to reach the schema registry. Holds references to secrets, never a secret: the job's workers get it as it is."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from lineage_pipeline.errors import SettingsError
from lineage_pipeline.secret_reference import SecretReference, is_secret

# confluent-kafka's names; timeouts, retries and caches are the job's own.
PROPERTIES: Final = frozenset(
    {
        "basic.auth.user.info",
        "bearer.auth.client.id",
        "bearer.auth.client.secret",
        "bearer.auth.credentials.source",
        "bearer.auth.identity.pool.id",
        "bearer.auth.issuer.endpoint.url",
        "bearer.auth.logical.cluster",
        "bearer.auth.scope",
        "bearer.auth.token",
        "proxy",
        "ssl.ca.location",
        "ssl.certificate.location",
        "ssl.key.location",
        "ssl.key.password",
    }
)


class RegistrySettings(BaseModel):
    """A registry that speaks Confluent's protocol. `max_wait`: seconds a record waits while it does not answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str  # with a base path where there is one, such as Apicurio's /apis/ccompat/v7; several divided by commas
    properties: dict[str, str | SecretReference] = {}
    max_wait: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 300.0

    @field_validator("url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        for one in url.split(","):
            parts = urlsplit(one.strip())
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise ValueError("it must be the address of a registry, such as https://registry:8081")
            if "@" in parts.netloc:
                raise ValueError("it holds a user: write `properties: {basic.auth.user.info: {env: NAME}}` instead")
        return url

    @field_validator("properties")
    @classmethod
    def _known_and_referred_to(cls, properties: dict[str, str | SecretReference]) -> dict[str, str | SecretReference]:
        for name, value in properties.items():
            if name not in PROPERTIES:
                near = difflib.get_close_matches(name, PROPERTIES, n=1, cutoff=0.5)
                raise ValueError(
                    f"unknown property {name}: {f'did you mean {near[0]}?' if near else 'see docs/job.md'}"
                )
            secret = is_secret(name) or (name == "proxy" and "@" in str(value))
            if isinstance(value, str) and secret:
                raise ValueError(f"{name} is written out: refer to it instead, `{{env: NAME}}` or `{{file: PATH}}`")
            if isinstance(value, SecretReference) and (value.env is None) == (value.file is None):
                raise ValueError(f"{name}: a reference is `{{env: NAME}}` or `{{file: PATH}}`")
        return properties

    def resolved(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The properties with their secrets. Raises SettingsError when one is not there."""
        return {
            name: value if isinstance(value, str) else value.resolve(environ).get_secret_value()
            for name, value in self.properties.items()
        }

    def secrets(self, environ: Mapping[str, str]) -> tuple[SecretStr, ...]:
        """The secrets that are there: a machine that only audits or submits need not have them."""
        found = []
        for value in self.properties.values():
            try:
                found += [] if isinstance(value, str) else [value.resolve(environ)]
            except SettingsError:
                continue  # whoever needs it will say so
        passwords = [one.get_secret_value().partition(":")[2] for one in found]  # of user:password
        return (*found, *(SecretStr(password) for password in passwords if password))
