"""Decompress an object as a stream, in bounded memory, whatever its name says."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import cast

import zstandard
from isal import igzip_lib

from paylog.errors import DecompressionLimitExceeded, TruncatedStream

CHUNK = 1 << 20
_GZIP_ERROR = cast("type[Exception]", igzip_lib.IsalError)  # isal's stubs call it an instance
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZSTD_WINDOW = 1 << 27  # what the zstd command accepts too; a frame may declare terabytes
_RLE, _RESERVED = 1, 3


class _CorruptError(Exception):
    """The compressed bytes make no sense or end inside a frame."""


class _WindowError(Exception):
    """A zstd frame asks for more memory than a worker has."""


def decompress(chunks: Iterator[bytes], key: str, limit: int) -> Iterator[bytes]:
    """Plain bytes of an object in chunks of at most 1 MiB (plain objects: as they come).

    Compression is told by the first bytes: gzip (also several members), zstd (also several and
    skippable frames), else plain.

    :param key: names the object in messages.
    :param limit: most bytes that may come out.
    :raises DecompressionLimitExceeded: there are more; at most ``limit`` bytes came out before.
    :raises TruncatedStream: the stream ends too soon or is corrupt.
    """
    total = 0
    try:
        for chunk in _decoded(_Source(chunks)):
            total += len(chunk)
            if total > limit:
                raise DecompressionLimitExceeded(
                    f"object {key!r} holds more than {limit:,} bytes once decompressed: raise "
                    "logs.max_object_bytes of the subscription if it is genuine, else remove the object"
                )
            if chunk:
                yield chunk
    except _WindowError:
        raise DecompressionLimitExceeded(
            f"object {key!r}: a zstd frame needs a window of more than {_ZSTD_WINDOW >> 20} MiB: "
            "compress it again without --long"
        ) from None
    except _CorruptError as fault:
        raise TruncatedStream(f"object {key!r}: {fault}; {total:,} bytes came out before", total) from None


def is_compressed(head: bytes) -> bool:
    """Whether an object that begins with these (4 or more) bytes would be decompressed."""
    return head.startswith(_GZIP) or head[:4] == _ZSTD or _is_skippable(head[:4])


class _Source:
    """Chunks that can be peeked into and taken by the byte."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._ahead = b""
        self._at = 0

    def peek(self, size: int) -> bytes:
        """The next ``size`` bytes, fewer at the end, without taking them."""
        while len(self._ahead) - self._at < size and (chunk := next(self._chunks, None)) is not None:
            self._ahead = self._ahead[self._at :] + chunk
            self._at = 0
        return self._ahead[self._at : self._at + size]

    def take(self, size: int) -> bytes:
        """Exactly ``size`` bytes."""
        taken = self.peek(size)
        if len(taken) < size:
            raise _CorruptError("the zstd stream ends inside a frame")
        self._at += size
        return taken

    def put_back(self, rest: bytes) -> None:
        self._ahead = rest + self._ahead[self._at :]
        self._at = 0

    def chunks(self) -> Iterator[bytes]:
        """Whatever is left, as it comes."""
        if self._at < len(self._ahead):
            rest, self._ahead, self._at = self._ahead[self._at :], b"", 0
            yield rest
        # Not "yield from": leaving this generator early would close the chunks for the next one.
        while (chunk := next(self._chunks, None)) is not None:
            yield chunk

    def skip(self, size: int) -> None:
        while size:
            size -= len(self.take(min(size, CHUNK)))


def _decoded(source: _Source) -> Iterator[bytes]:
    head = source.peek(4)
    if not is_compressed(head):
        return source.chunks()
    return _gunzip(source) if head.startswith(_GZIP) else _unzstd(source)


def _gunzip(source: _Source) -> Iterator[bytes]:
    while head := source.peek(1):
        if head == b"\0":  # tar and some uploaders pad the last block
            if any(chunk.strip(b"\0") for chunk in source.chunks()):
                raise _CorruptError("bytes that are not gzip follow the gzip stream")
            return
        yield from _gunzip_member(source)


def _gunzip_member(source: _Source) -> Iterator[bytes]:
    member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    try:
        for chunk in source.chunks():
            yield member.decompress(chunk, CHUNK)
            while not member.needs_input and not member.eof:
                yield member.decompress(b"", CHUNK)
            if member.eof:
                source.put_back(member.unused_data)
                return
    except _GZIP_ERROR:
        raise _CorruptError("the gzip stream is corrupt") from None
    raise _CorruptError("the gzip stream ends too soon")


def _is_skippable(head: bytes) -> bool:
    return len(head) == 4 and 0x50 <= head[0] <= 0x5F and head[1:] == b"\x2a\x4d\x18"


def _unzstd(source: _Source) -> Iterator[bytes]:
    while head := source.peek(4):
        if _is_skippable(head):
            source.skip(4)
            source.skip(struct.unpack("<I", source.take(4))[0])
        elif head == _ZSTD:
            yield from _unzstd_frame(source)
        else:
            raise _CorruptError("bytes that are not zstd follow the zstd stream")


def _unzstd_frame(source: _Source) -> Iterator[bytes]:
    """One frame, block by block.

    zstandard has no way to bound what one call puts out, nor to tell a cut frame from a whole
    one; a block holds 128 KiB at most and says whether it is the last.
    """
    header = source.take(_zstd_header_size(source.peek(5)))
    frame = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
    try:
        parameters = zstandard.get_frame_parameters(header)
        if parameters.window_size > _ZSTD_WINDOW:
            raise _WindowError
        frame.decompress(header)
        last = False
        while not last:
            block_header = source.take(3)
            last, size = _zstd_block(block_header)
            yield frame.decompress(block_header + source.take(size))
        if parameters.has_checksum:
            yield frame.decompress(source.take(4))
    except zstandard.ZstdError:
        raise _CorruptError("the zstd stream is corrupt") from None


def _zstd_header_size(start: bytes) -> int:
    if len(start) < 5:
        raise _CorruptError("the zstd stream ends inside a frame")
    descriptor = start[4]
    single_segment = descriptor >> 5 & 1
    content_size = (single_segment, 2, 4, 8)[descriptor >> 6]
    dictionary_id = (0, 1, 2, 4)[descriptor & 3]
    return 5 + (1 - single_segment) + dictionary_id + content_size


def _zstd_block(header: bytes) -> tuple[bool, int]:
    """Is it the last block, and how many bytes follow its header."""
    value = int.from_bytes(header, "little")
    kind, size = value >> 1 & 3, value >> 3
    if kind == _RESERVED:
        raise _CorruptError("the zstd stream is corrupt")
    return bool(value & 1), 1 if kind == _RLE else size
