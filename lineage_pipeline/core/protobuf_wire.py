"""A protobuf payload walked byte by byte, without a parser: why it is none, and how much memory parsing it would take.

Pure: standard library only. The library's parser says only that it failed; it makes a whole object of every two bytes
that announce an empty message; and of a number that a field of 32 bits cannot hold it keeps the lowest ones. So what
fails is walked for its reason, what could grow out of proportion before it is parsed, and what may hold such a number
when its bytes are not those of the message that was parsed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from lineage_pipeline.core.record_values import Undecodable

MAX_NESTING: Final = 100  # as the library's parser has it
FREE_BYTES: Final = 16 * 1024 * 1024
BYTES_PER_BYTE: Final = 128
_VARINT_BYTES: Final = 10
_MAX_TAG: Final = 2**32 - 1
_FIXED: Final = {1: 8, 5: 4}
_LENGTH, _GROUP, _END_GROUP = 2, 3, 4
_SMALLEST_MESSAGE: Final = 2  # a tag and a length of zero
_LONG_VARINT: Final = re.compile(rb"[\x80-\xff]{4}")  # a number from 2**28 on has such a run of bytes
# Of 32 bits: the numbers that a varint may say, as it says them (a negative one as 64 bits).
Narrow = tuple[range, ...]
SIGNED: Final[Narrow] = (range(2**31), range(2**64 - 2**31, 2**64))
UNSIGNED: Final[Narrow] = (range(2**32),)


@dataclass(eq=False)
class Shape:
    """What the walk has to know of a message: its size in memory, and which of its fields go deeper."""

    size: int = 0  # bytes
    messages: dict[int, Shape] = field(default_factory=dict, repr=False)  # by field number; may lead back to this
    texts: set[int] = field(default_factory=set)  # fields whose UTF-8 the parser checks
    packed: dict[int, int] = field(default_factory=dict)  # lists of numbers -> bytes of one; 0: varints
    narrow: dict[int, Narrow] = field(default_factory=dict)  # fields of 32 bits that are written as varints

    def worst(self) -> int:
        """The most bytes of memory that two bytes of payload can ask for."""
        seen: dict[int, Shape] = {}
        todo = list(self.messages.values())
        while todo:
            one = todo.pop()
            if id(one) not in seen:
                seen[id(one)] = one
                todo += one.messages.values()
        return max((one.size for one in seen.values()), default=0)


def needs_walk(payload_size: int, worst: int) -> bool:
    """Whether a payload of so many bytes could exceed the limit at all."""
    return payload_size // _SMALLEST_MESSAGE * worst > memory_limit(payload_size)


def may_be_cut(payload: bytes) -> bool:
    """Whether a number in it may be too large for 32 bits; cheap, and seldom true without one of 64."""
    return _LONG_VARINT.search(payload) is not None


def memory_limit(payload_size: int) -> int:
    """How many bytes the messages of one payload may take in memory."""
    return FREE_BYTES + BYTES_PER_BYTE * payload_size


def walk(payload: bytes, shape: Shape) -> None:
    """Return for a payload that can be parsed. Raises Undecodable with the reason otherwise, or beyond the limit."""
    _Walk(payload).message(0, len(payload), shape, MAX_NESTING)


class _Walk:
    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._limit = self._left = memory_limit(len(payload))

    def message(self, at: int, end: int, shape: Shape, depth: int) -> None:
        if depth < 0:
            raise Undecodable("too-deep", f"nested more than {MAX_NESTING} deep")
        self._left -= shape.size
        if self._left < 0:
            raise Undecodable("too-large", f"its messages would take more than {self._limit} bytes of memory")
        while at < end:
            number, wire, at = self._tag(at, end)
            if wire == _END_GROUP:
                raise Undecodable("bad-tag", f"group {number} ends without having begun")
            at = self._value(number, wire, at, end, shape, depth)

    def _group(self, number: int, at: int, end: int, shape: Shape, depth: int) -> int:
        if depth < 0:
            raise Undecodable("too-deep", f"nested more than {MAX_NESTING} deep")
        self._left -= shape.size
        while True:
            found, wire, at = self._tag(at, end)
            if wire == _END_GROUP:
                if found != number:
                    raise Undecodable("bad-tag", f"group {number} ends as {found}")
                return at
            at = self._value(found, wire, at, end, shape, depth)

    def _value(self, number: int, wire: int, at: int, end: int, shape: Shape, depth: int) -> int:
        """Behind the field's value."""
        if wire == 0:
            return self._number(number, at, end, shape)
        if wire in _FIXED:
            if at + _FIXED[wire] > end:
                raise Undecodable("truncated", f"field {number} of {_FIXED[wire]} bytes with {end - at} left")
            return at + _FIXED[wire]
        if wire == _GROUP:
            return self._group(number, at, end, shape.messages.get(number, _NOTHING), depth - 1)
        length, at = self._varint(at, end)
        if at + length > end:
            raise Undecodable("truncated", f"field {number} of length {length} with {end - at} bytes left")
        self._content(number, at, at + length, shape, depth)
        return at + length

    def _content(self, number: int, at: int, end: int, shape: Shape, depth: int) -> None:
        if number in shape.messages:
            self.message(at, end, shape.messages[number], depth - 1)
        elif number in shape.texts:
            try:
                self._payload[at:end].decode()
            except UnicodeDecodeError as error:
                raise Undecodable("invalid-utf8", f"field {number}: {error.reason}") from None
        elif number in shape.packed:
            size = shape.packed[number]
            if size and (end - at) % size:
                raise Undecodable("truncated", f"field {number}: {end - at} bytes are no list of numbers of {size}")
            while not size and at < end:
                at = self._number(number, at, end, shape)

    def _number(self, number: int, at: int, end: int, shape: Shape) -> int:
        """Behind the field's number."""
        value, at = self._varint(at, end)
        if number in shape.narrow and not any(value in part for part in shape.narrow[number]):
            shown = value - (value >> 63 << 64)
            raise Undecodable("out-of-range", f"field {number}: {shown} has more than the 32 bits of its type")
        return at

    def _tag(self, at: int, end: int) -> tuple[int, int, int]:
        tag, at = self._varint(at, end)
        number, wire = tag >> 3, tag & 7
        if number == 0 or tag > _MAX_TAG or wire > 5:  # noqa: PLR2004 - the last wire type that exists
            raise Undecodable("bad-tag", f"field number {number} of wire type {wire}")
        return number, wire, at

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = 0
        for shift in range(_VARINT_BYTES):
            if at + shift >= end:
                raise Undecodable("truncated", f"a number goes on behind byte {end}")
            byte = self._payload[at + shift]
            value |= (byte & 127) << 7 * shift
            if byte < 128:  # noqa: PLR2004 - the varint's continuation bit
                if value >> 64:
                    break
                return value, at + shift + 1
        raise Undecodable("out-of-range", "a number of more than 64 bits")


_NOTHING: Final = Shape()
