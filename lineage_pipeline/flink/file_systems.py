"""S3 for Flink in this process: the options of its S3A file system, and its plugin, loaded by one call.

A cluster has its own file systems: `s3.*` in its configuration and the plugin in its `plugins/`. What is given here
never becomes part of a job, so no credential travels with one or is shown by Flink.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from lineage_pipeline.settings import Settings
from lineage_pipeline.topic_settings import TopicSettings

_SCHEMES = frozenset({"s3", "s3a"})
PLUGIN = "s3-fs-hadoop"
# Flink's option -> the variables that give it, the first one set wins
_OPTIONS = {
    "s3.endpoint": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "s3.access-key": ("AWS_ACCESS_KEY_ID",),
    "s3.secret-key": ("AWS_SECRET_ACCESS_KEY",),
    "s3.session.token": ("AWS_SESSION_TOKEN",),
    "s3.endpoint.region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
}
# S3A does not look for a token file by itself.
_WEB_IDENTITY = "com.amazonaws.auth.WebIdentityTokenCredentialsProvider"


def uses_s3(topic: TopicSettings) -> bool:
    """Whether the job reads or writes anything of the topic on S3."""
    paths = (topic.paths.output, topic.paths.quarantine, topic.paths.offset_index, topic.paths.checkpoints)
    return any(urlsplit(path).scheme in _SCHEMES for path in paths)


def s3_options(settings: Settings) -> dict[str, str]:
    """Flink's options for S3 from the AWS_* settings. They hold secrets: for `load_s3` only."""
    aws = {name: value.get_secret_value() for name, value in settings.aws.items()}
    found = {option: _first(aws, names) for option, names in _OPTIONS.items()}
    options = {option: value for option, value in found.items() if value}
    if "s3.endpoint" in options:
        options["s3.path.style.access"] = "true"
    if "AWS_WEB_IDENTITY_TOKEN_FILE" in aws and "s3.access-key" not in options:
        options["s3.aws.credentials.provider"] = _WEB_IDENTITY
    # With markers removed, Hadoop deletes "directories" that other writers still use and the job hangs in retries.
    return {**options, "fs.s3a.directory.marker.retention": "keep"}


def load_s3(jars: Sequence[Path], options: Mapping[str, str]) -> None:
    """Give the running JVM the file systems s3:// and s3a://, from the plugin's `jars`.

    Flink's own entry points load plugins; a job that runs in the process of its command has none of them. May be
    called again. Before a table environment is made.
    """
    from pyflink.java_gateway import get_gateway  # noqa: PLC0415 - starts the JVM

    gateway = get_gateway()
    flink = gateway.jvm.org.apache.flink
    configuration = flink.configuration.Configuration()
    for key, value in options.items():
        configuration.setString(key, value)
    urls = _java_array(gateway, gateway.jvm.java.net.URL, (jar.resolve().as_uri() for jar in jars))
    nothing = gateway.new_array(gateway.jvm.java.lang.String, 0)
    plugins = gateway.jvm.java.util.ArrayList()
    plugins.add(flink.core.plugin.PluginDescriptor(PLUGIN, urls, nothing))
    parent_first = flink.core.plugin.PluginConfig.fromConfiguration(configuration).getAlwaysParentFirstPatterns()
    flink.core.fs.FileSystem.initialize(configuration, flink.core.plugin.DefaultPluginManager(plugins, parent_first))


def _java_array(gateway: object, kind: object, values: Iterable[str]) -> object:
    made = [kind(value) for value in values]  # type: ignore[operator]  # a Java class
    array = gateway.new_array(kind, len(made))  # type: ignore[attr-defined]  # py4j's gateway
    for at, value in enumerate(made):
        array[at] = value
    return array


def _first(values: Mapping[str, str], names: Sequence[str]) -> str | None:
    return next((values[name] for name in names if values.get(name)), None)
