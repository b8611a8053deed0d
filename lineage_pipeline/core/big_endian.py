"""Pure: bytes as Java's DataOutput writes them, read in order and never beyond their end."""

from __future__ import annotations

from lineage_pipeline.errors import CheckpointError


class BigEndian:
    """Reads from the front. Every method raises CheckpointError when the bytes end too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes are not read yet."""
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        """The next bytes."""
        if size < 0 or size > self.left:
            raise CheckpointError(f"it is cut off or damaged: {size} bytes are announced where {self.left} are left")
        start, self._at = self._at, self._at + size
        return self._data[start : self._at]

    def skip(self, size: int) -> None:
        """Pass over the next bytes."""
        self.take(size)

    def u8(self) -> int:
        """One byte."""
        return self.take(1)[0]

    def u32(self) -> int:
        """Four bytes without a sign."""
        return int.from_bytes(self.take(4), "big")

    def i32(self) -> int:
        """Four bytes."""
        return int.from_bytes(self.take(4), "big", signed=True)

    def i64(self) -> int:
        """Eight bytes."""
        return int.from_bytes(self.take(8), "big", signed=True)

    def count(self, width: int = 1) -> int:
        """How many things of at least `width` bytes follow: never more than can be there."""
        number = self.i32()
        if number < 0 or number * width > self.left:
            raise CheckpointError(f"it is cut off or damaged: {number} parts are announced where they cannot be")
        return number

    def text(self) -> str:
        """A text with its length before it; a character that is none is shown as U+FFFD."""
        return self.take(int.from_bytes(self.take(2), "big")).decode("utf-8", errors="replace")
