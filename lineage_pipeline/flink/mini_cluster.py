"""A job in the mini cluster of this process's JVM, as the command that waits for it sees it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, final

from lineage_pipeline.errors import JobError
from lineage_pipeline.flink.failures import failure_sentence

if TYPE_CHECKING:
    from pyflink.common.job_client import JobClient


@final
class MiniClusterJob:
    """The job of `client`; it ends with this process."""

    def __init__(self, client: JobClient, topic: str, secrets: Iterable[str]) -> None:
        self.job_id = str(client.get_job_id())
        self._client = client
        self._result: Any = client.get_job_execution_result()
        self._topic = topic
        self._secrets = tuple(secrets)

    def check(self) -> None:
        """Return while the job runs. Raises JobError with the reason once it does not."""
        try:
            ended = bool(self._result.done())
        except Exception:  # noqa: BLE001 - py4j raises what Java raised, and several errors of its own when Java is gone
            raise JobError(
                f"Flink's JVM of the job for {self._topic} has died without a word (killed, or out of memory): start"
                " the job again, it resumes from its last checkpoint"
            ) from None
        if ended:
            raise JobError(self._reason())

    def stop(self, folder: str) -> str:
        """Stop with a savepoint below `folder` and wait until the job is FINISHED: only then its files are committed.

        Returns the savepoint's path. Raises JobError.
        """
        from pyflink.java_gateway import get_gateway  # noqa: PLC0415 - pyflink is imported when a job runs

        try:
            # pyflink 2.3 still calls a method that Flink 2 has removed, hence the Java client.
            kinds = get_gateway().jvm.org.apache.flink.core.execution.SavepointFormatType
            client = self._client._j_job_client  # noqa: SLF001 - as said
            savepoint = str(client.stopWithSavepoint(False, folder, kinds.DEFAULT).get())
            self._result.result()
        except Exception as error:  # noqa: BLE001 - py4j raises what Java raised
            why = failure_sentence(self._topic, str(error), self._secrets)
            raise JobError(
                f"stopping with a savepoint failed, the next start resumes from the last checkpoint: {why}"
            ) from None
        return savepoint

    def _reason(self) -> str:
        try:
            self._result.result()
        except Exception as error:  # noqa: BLE001 - py4j raises what Java raised
            return failure_sentence(self._topic, str(error), self._secrets)
        return (
            f"the job for {self._topic} ended by itself, which a streaming job never does: read its log and start it"
            " again"
        )
