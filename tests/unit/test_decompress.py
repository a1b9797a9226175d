"""Decompression of whole, cut, corrupt and hostile streams."""

from __future__ import annotations

import gzip
import random
import struct
from collections.abc import Iterator

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from paylog.errors import DecompressionLimitExceeded, StopError, TruncatedStream
from paylog.storage.compression import CHUNK, decompress

GIGABYTE = 1 << 30
TEXT = b"".join(b'{"id": %d, "value": %d}\n' % (n, n * 7919 % 1000) for n in range(20_000))


def zstd(content: bytes, checksum: bool = True, sized: bool = True) -> bytes:
    compressor = zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=sized)
    return compressor.compress(content)


def pieces(content: bytes, size: int) -> Iterator[bytes]:
    return (content[at : at + size] for at in range(0, len(content), size))


def plain(content: bytes, size: int = CHUNK, key: str = "log", limit: int = GIGABYTE) -> bytes:
    return b"".join(decompress(pieces(content, size), key, limit))


def until_fault(content: bytes, size: int = CHUNK) -> tuple[bytes, TruncatedStream]:
    out: list[bytes] = []
    with pytest.raises(TruncatedStream) as caught:
        out.extend(decompress(pieces(content, size), "log.gz", GIGABYTE))
    return b"".join(out), caught.value


@pytest.mark.parametrize("compress", [gzip.compress, zstd, bytes], ids=["gzip", "zstd", "plain"])
@pytest.mark.parametrize("size", [1, 7, 4096, CHUNK])
def test_content_comes_out_whatever_the_chunks(compress, size) -> None:
    content = TEXT[:3000] if size == 1 else TEXT
    assert plain(compress(content), size) == content


@given(
    parts=st.lists(st.binary(max_size=300), min_size=1, max_size=5),
    size=st.integers(1, 64),
    compress=st.sampled_from([gzip.compress, zstd, lambda b: zstd(b, checksum=False, sized=False)]),
)
@settings(max_examples=150, deadline=None)
def test_members_and_frames_are_joined(parts, size, compress) -> None:
    assert plain(b"".join(compress(part) for part in parts), size) == b"".join(parts)


@pytest.mark.parametrize("key", ["log.gz", "log.zst", "log.jsonl"])
def test_the_name_does_not_decide(key) -> None:
    assert plain(TEXT, key=key) == TEXT
    assert plain(gzip.compress(TEXT), key=key) == TEXT


@pytest.mark.parametrize("content", [b"", b"\x1f", b"(", b"\x28\xb5\x2f", b"{}"])
def test_short_objects_are_plain(content) -> None:
    assert plain(content) == content


def test_empty_content() -> None:
    assert plain(gzip.compress(b"")) == b""
    assert plain(zstd(b"")) == b""


def test_random_content_over_many_blocks() -> None:
    content = random.Random(5).randbytes(3 * CHUNK + 17)
    for compress in (gzip.compress, zstd):
        assert plain(compress(content)) == content


def test_skippable_zstd_frames_are_skipped() -> None:
    skippable = b"\x5a\x2a\x4d\x18" + struct.pack("<I", 5) + b"hello"
    assert plain(skippable + zstd(TEXT) + skippable, 100) == TEXT


def test_zero_padding_after_gzip_is_ignored() -> None:
    assert plain(gzip.compress(TEXT) + bytes(5000), 777) == TEXT


@pytest.mark.parametrize("compress", [gzip.compress, zstd])
def test_other_bytes_behind_the_stream_are_told(compress) -> None:
    out, fault = until_fault(compress(TEXT) + b"\0 not compressed")
    assert out == TEXT
    assert fault.decompressed == len(TEXT)


@pytest.mark.parametrize("compress", [gzip.compress, zstd])
def test_a_stream_cut_anywhere_gives_what_came_before(compress) -> None:
    whole = compress(TEXT)
    for cut in range(4, len(whole), 97):
        out, fault = until_fault(whole[:cut])
        assert TEXT.startswith(out)
        assert fault.decompressed == len(out)
    assert len(until_fault(whole[:-1])[0]) == len(TEXT)
    assert isinstance(fault, StopError)
    assert "log.gz" in str(fault)


@pytest.mark.parametrize("compress", [gzip.compress, zstd])
def test_a_flipped_bit_does_not_pass(compress) -> None:
    whole = bytearray(compress(TEXT))
    whole[-6] ^= 0x10
    out, fault = until_fault(bytes(whole))
    assert fault.decompressed == len(out)


@pytest.mark.parametrize("compress", [gzip.compress, zstd])
def test_a_bomb_comes_out_in_bounded_chunks_up_to_the_limit(compress) -> None:
    bomb = compress(bytes(200 * CHUNK))
    assert len(bomb) < CHUNK
    limit = 64 * CHUNK
    sizes: list[int] = []
    with pytest.raises(DecompressionLimitExceeded, match=r"bomb.*67,108,864.*max_object_bytes"):
        sizes.extend(map(len, decompress(iter([bomb]), "bomb", limit)))
    assert max(sizes) <= CHUNK
    assert limit - CHUNK < sum(sizes) <= limit


def test_the_limit_itself_is_allowed() -> None:
    assert plain(gzip.compress(TEXT), limit=len(TEXT)) == TEXT
    with pytest.raises(DecompressionLimitExceeded):
        plain(TEXT, limit=len(TEXT) - 1)


def test_a_zstd_window_that_needs_too_much_memory_is_refused() -> None:
    magic, no_size, window_of_2_gib = b"\x28\xb5\x2f\xfd", b"\x00", bytes([21 << 3])
    with pytest.raises(DecompressionLimitExceeded, match="window"):
        plain(magic + no_size + window_of_2_gib + b"\x01\x00\x00")


def test_stopping_early_leaves_the_source_to_its_owner() -> None:
    source = pieces(gzip.compress(random.Random(1).randbytes(3 * CHUNK)), 1000)
    out = decompress(source, "log", GIGABYTE)
    next(out)
    out.close()
    assert next(source)
