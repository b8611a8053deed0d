"""`lineage prepare`: what a stack for trying out needs before anything starts."""

from __future__ import annotations

import os
import time
from urllib.parse import urlsplit

import botocore.config
import botocore.exceptions
import botocore.session
import click

from lineage_pipeline.errors import BrokerError, StoreError
from lineage_pipeline.local.topics import cluster_id_of, create_topic, partition_count
from lineage_pipeline.settings import Settings, load_settings
from lineage_pipeline.topic_settings import TopicSettings

_PAUSE_SECONDS = 0.5
_THERE = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}


@click.command("prepare")
@click.option("--topic", help="Which topic, when several are configured.")
@click.option("--partitions", type=click.IntRange(1, 1000), default=10, show_default=True)
@click.option("--wait", type=click.FloatRange(min=0), default=120.0, show_default=True, help="Seconds for Kafka.")
def prepare_command(topic: str | None, partitions: int, wait: float) -> None:
    """Make the topic and the buckets of its paths, where they are not there. What is there is left as it is.

    Example: lineage prepare --partitions 10
    """
    settings = load_settings(os.environ)
    chosen = settings.topic(topic)
    for bucket in buckets(chosen):
        click.echo(f"bucket {bucket}: {'made' if _create_bucket(settings, bucket) else 'is there'}", err=True)
    click.echo(f"topic {chosen.name}: {_create_topic(settings, chosen.name, partitions, wait)}", err=True)


def buckets(topic: TopicSettings) -> list[str]:
    """The buckets of the topic's paths, each once."""
    paths = topic.paths
    places = (paths.output, paths.quarantine, paths.offset_index, paths.audit, paths.checkpoints)
    return sorted({urlsplit(place).netloc for place in places if urlsplit(place).scheme in {"s3", "s3a"}})


def _create_topic(settings: Settings, name: str, partitions: int, wait: float) -> str:
    servers = settings.kafka.bootstrap_servers
    properties = {key: value.get_secret_value() for key, value in settings.kafka.properties.items()}
    deadline = time.monotonic() + wait
    while cluster_id_of(servers, properties) is None:
        if time.monotonic() > deadline:
            raise BrokerError(f"Kafka at {servers} does not answer within {wait:.0f} s: check the address")
        time.sleep(_PAUSE_SECONDS)
    found = partition_count(servers, name, properties)
    if found is not None:
        return f"is there with {found} partitions"
    create_topic(servers, name, partitions, properties=properties)
    return f"made with {partitions} partitions"


def _create_bucket(settings: Settings, bucket: str) -> bool:
    """Whether it was made now. Raises StoreError."""
    aws = {name: value.get_secret_value() for name, value in settings.aws.items()}
    endpoint = aws.get("AWS_ENDPOINT_URL_S3") or aws.get("AWS_ENDPOINT_URL")
    region = aws.get("AWS_REGION") or aws.get("AWS_DEFAULT_REGION") or "us-east-1"
    client = botocore.session.Session().create_client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=aws.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=aws.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=aws.get("AWS_SESSION_TOKEN"),
        config=botocore.config.Config(
            retries={"max_attempts": 10, "mode": "standard"}, s3={"addressing_style": "path"} if endpoint else {}
        ),
    )
    elsewhere = {} if endpoint or region == "us-east-1" else {"LocationConstraint": region}
    try:
        client.create_bucket(Bucket=bucket, **({"CreateBucketConfiguration": elsewhere} if elsewhere else {}))
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in _THERE:
            return False
        raise StoreError(f"the bucket {bucket} could not be made ({error}): check the credentials") from None
    except botocore.exceptions.BotoCoreError as error:
        raise StoreError(f"the bucket {bucket} could not be made ({error}): check endpoint and credentials") from None
    return True
