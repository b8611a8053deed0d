"""The one error tree of the project. Pure: standard library only.

    LineageError                    exit 4   could not run
    ├── UsageError                  exit 2   the command or its settings are wrong
    │   ├── SettingsError                    a setting is missing, unknown or has a bad value
    │   └── SchemaError                      a record schema cannot be used
    ├── OutputError                          what was found could not be told to anybody
    ├── SetupError                           this machine cannot run the embedded stack
    │   ├── DownloadError                    a jar could not be fetched or does not match its checksum
    │   ├── JavaError                        no usable Java, or one that cannot be started
    │   └── PortTakenError                   another process listens where we must
    ├── ProcessError                         a process of ours died or did not become ready
    ├── StoreError                           a directory or bucket could not be listed, read or written
    ├── IndexFileError                       one offset index file is malformed: it is refused whole
    ├── LakeFileError                        a data or quarantine file is broken, or does not tell its offsets
    ├── LedgerError                          what the auditor remembers is damaged or of another topic
    ├── CheckpointError                      a Flink checkpoint or savepoint is damaged, or of a kind that is not read
    ├── RepairError                          a repair must not be carried out as it was planned
    ├── BrokerError                          Kafka could not be asked, refused, or gave a senseless answer
    │   └── UnknownTopicError                Kafka answered that the topic does not exist
    ├── AlertError                           a message could not be delivered, or its receiver is refused
    ├── RegistryError                        the schema registry could not be asked, or refused
    │   ├── RegistryDownError                it did not answer
    │   ├── RegistryRefusedError             it answered, but not as it should: wrong path, user or rights
    │   └── UnknownSchemaError               it answered that it has no such schema
    └── JobError                             the Flink job cannot start or has failed
        └── StartRefusedError                starting would lose or double records: a person decides

Foreign errors (botocore, obstore, confluent-kafka, py4j, pydantic) are mapped where they enter, in books/, flink/,
local/ and settings.py. A message names the value and the remedy and never holds a secret.
"""

from __future__ import annotations


class LineageError(Exception):
    """Base of everything this project raises on purpose; its text is meant for the user."""

    exit_code = 4


class UsageError(LineageError):
    """The command line, a setting or a file the user wrote is wrong."""

    exit_code = 2


class SettingsError(UsageError):
    """A setting is missing, unknown or has a bad value."""


class SchemaError(UsageError):
    """A record schema cannot be read or cannot become a table."""


class OutputError(LineageError):
    """Standard output was closed before everything was written."""


class SetupError(LineageError):
    """This machine cannot run the embedded stack as it is."""


class DownloadError(SetupError):
    """A jar could not be fetched, or what arrived does not match the lock."""


class JavaError(SetupError):
    """No Java 17 or 21 was found, or the one found does not start."""


class PortTakenError(SetupError):
    """A port that must be ours is in use."""


class ProcessError(LineageError):
    """A process of ours died, or was not ready in time; the text ends with its last log lines."""


class StoreError(LineageError):
    """A directory or bucket could not be listed, read or written."""


class IndexFileError(LineageError):
    """One offset index file is malformed. It is refused whole; other files are judged."""


class LakeFileError(LineageError):
    """A data or quarantine file was read and does not tell its offsets; `broken`: it is no whole Parquet file."""

    def __init__(self, text: str, *, broken: bool) -> None:
        super().__init__(text)
        self.broken = broken


class LedgerError(LineageError):
    """The auditor's own memory is damaged, of a future version or of another topic."""


class CheckpointError(LineageError):
    """A checkpoint or savepoint of Flink is damaged, or of a kind that is not read here."""


class RepairError(LineageError):
    """A repair must not be carried out as it was planned: nothing, or no more, was written."""


class BrokerError(LineageError):
    """Kafka could not be asked, refused the request, or gave an answer that cannot be true."""


class UnknownTopicError(BrokerError):
    """Kafka answered that the topic does not exist."""


class AlertError(LineageError):
    """A message or the dead-man ping could not be delivered, or must not be sent to that address."""


class RegistryError(LineageError):
    """The schema registry could not be asked, refused the request, or gave an answer that makes no sense."""


class RegistryDownError(RegistryError):
    """The schema registry did not answer: nobody listens, or not in time."""


class RegistryRefusedError(RegistryError):
    """The schema registry answered, but refused: its address, the user or the user's rights are wrong."""


class UnknownSchemaError(RegistryError):
    """The schema registry answered that it has no schema of that id."""


class JobError(LineageError):
    """The Flink job cannot be started, has failed or cannot be reached."""


class StartRefusedError(JobError):
    """Starting now would lose or double records, so a person has to decide; the text says between what."""
