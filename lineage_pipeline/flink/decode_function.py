"""The decoder as the vectorised function that PyFlink ships to its workers."""

from __future__ import annotations

from typing import Any

from pyflink.table import ScalarFunction

from lineage_pipeline.flink.decode import Decoder


class BatchDecode(ScalarFunction):  # type: ignore[misc]  # pyflink has no types
    """Decodes a batch of payloads into the ROW of the schema's transport fields; travels as format and schema text."""

    def __init__(self, record_format: str, schema_text: str) -> None:
        self._format = record_format
        self._text = schema_text
        self._decoder: Decoder | None = None

    def open(self, function_context: Any) -> None:  # noqa: ARG002 - pyflink's signature
        """Build the decoder once per worker."""
        self._decoder = Decoder(self._format, self._text)

    def eval(self, payloads: Any) -> Any:
        """A data frame with one row per payload; never raises for what a payload holds."""
        assert self._decoder is not None
        return self._decoder.decode(payloads)
