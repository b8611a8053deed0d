"""The `alerts` part of lineage.yaml as checked values; secrets stay references until a message is sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lineage_pipeline.errors import SettingsError
from lineage_pipeline.lake_settings import TEN_YEARS
from lineage_pipeline.secret_reference import SecretReference
from lineage_pipeline.settings_problem import first_problem
from lineage_pipeline.topic_settings import TopicSettings

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


def alert_settings(raw: dict[str, Any], topics: Iterable[TopicSettings] = ()) -> AlertSettings:
    """The checked settings. Raises SettingsError in one sentence, without values that may be secrets.

    Also when nobody would be told of a loss in one of the `topics`: that would look like no loss.
    """
    try:
        settings = AlertSettings.model_validate(raw)
    except ValidationError as error:
        _, text = first_problem(error, AlertSettings, below="alerts")
        raise SettingsError(f"{text}; see docs/dagster.md") from None
    for topic in topics if settings.channels else ():  # without any channel the log is told
        if not any("loss" in one.levels and one.is_for(topic.owners) for one in settings.channels):
            owners = f"owners: {', '.join(topic.owners)}" if topic.owners else "no owners"
            raise SettingsError(
                f"`alerts.channels`: no channel takes a loss in topic {topic.name!r} ({owners}), so nobody would be "
                "told of it: add a channel without `owners`, or one of the topic's owners to a channel for `loss`; "
                "see docs/dagster.md"
            )
    return settings
