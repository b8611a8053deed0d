"""The `alerts` part of lineage.yaml as checked values; secrets stay references until a message is sent.

They are Dagster's, and checked here, so that every command refuses what only Dagster would have noticed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lineage_pipeline.lake_settings import TEN_YEARS
from lineage_pipeline.secret_reference import SecretReference

ReportedLevel = Literal["warning", "undetermined", "loss"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChannelSettings(_Model):
    """One receiver. Its address is a reference, since addresses of webhooks are secrets.

    `webhook`: an http(s) address that takes JSON. `apprise`: an Apprise URL (slack://, msteams://, mailto://, ...).
    `owners`: only topics of these; empty: all. `allow_private`: addresses of the own network are meant.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,60}$")]
    webhook: SecretReference | None = None
    apprise: SecretReference | None = None
    owners: tuple[str, ...] = ()
    levels: Annotated[tuple[ReportedLevel, ...], Field(min_length=1)] = ("warning", "undetermined", "loss")
    allow_private: bool = False

    @model_validator(mode="after")
    def _one_address(self) -> ChannelSettings:
        if (self.webhook is None) == (self.apprise is None):
            raise ValueError(f"channel {self.name!r} needs either `webhook` or `apprise`")
        return self

    def is_for(self, owners: Iterable[str]) -> bool:
        """Whether it is told of topics of these owners."""
        return not self.owners or not set(self.owners).isdisjoint(owners)


class AlertSettings(_Model):
    """Who is told what, and how patiently; times in seconds.

    `ui_url`: where people open Dagster. `reports_url`: where people open what is below the audit path, if they can.
    """

    channels: tuple[ChannelSettings, ...] = ()
    dead_man_url: SecretReference | None = None
    dead_man_allow_private: bool = False
    ui_url: str = "http://127.0.0.1:3000"
    reports_url: Annotated[str, Field(pattern=r"^https?://[^/]")] | None = None
    undetermined_after: Annotated[float, Field(ge=0, le=TEN_YEARS)] = 900.0
    warning_after: Annotated[float, Field(ge=0, le=TEN_YEARS)] = 900.0
    remind_after: Annotated[float, Field(ge=60, le=TEN_YEARS)] = 14_400.0
    quiet: Annotated[float, Field(ge=0, le=TEN_YEARS)] = 900.0

    @model_validator(mode="after")
    def _unique_names(self) -> AlertSettings:
        names = [channel.name for channel in self.channels]
        if len(set(names)) != len(names):
            raise ValueError("two channels have the same name")
        return self
