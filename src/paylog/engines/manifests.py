"""Manifests of batch data capture: which objects a SageMaker batch transform job read or wrote.

One JSON array, ``[{"prefix": "s3://bucket/in/"}, "part-0.csv", …]``, at ``…/input/2024/01/19/20/<uuid>.json``
or ``…/output/…``, by the hour of the job. A name follows the prefix as it is; without a prefix it is a whole
URI. Only objects below the subscription's own prefix are followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TypeAlias
from urllib.parse import urlsplit

import msgspec

from paylog.engines import Decoded, Part
from paylog.engines.documents import KEPT_OF_OVERLONG, RecordBlock
from paylog.engines.envelopes import FAILURES, unfit
from paylog.errors import Reason, TruncatedStream
from paylog.records import CaptureObject, Reject
from paylog.subscription.logs import Logs

_MANIFEST = re.compile(r"(?:^|/)(?:input|output)/\d{4}/\d\d/\d\d/\d\d/[0-9a-f-]{36}\.json$")


class _Head(msgspec.Struct):
    prefix: str


_Listed: TypeAlias = list[_Head | str]
_decode = msgspec.json.Decoder(_Listed).decode


class Manifests:
    """Reads the manifests of the jobs whose objects are below ``logs.prefix`` of ``logs.bucket``."""

    def __init__(self, logs: Logs) -> None:
        self._bucket = logs.bucket
        self._prefix = logs.prefix

    def keys(self, manifest: bytes) -> Sequence[str]:
        """Keys below the prefix; without those that are elsewhere, none of a manifest that is broken."""
        try:
            return [key for uri in _uris(_decode(manifest)) if (key := self._key(uri))]
        except FAILURES:
            return ()

    def decode(self, block: RecordBlock) -> Decoded:
        """No record, but a reject for each object that is named and not followed (``FOREIGN_PAYLOAD``)."""
        (manifest,) = block.elements
        try:
            uris = _uris(_decode(manifest))
        except FAILURES:
            return Decoded(rejects=[Reject(0, unfit(manifest), manifest)])
        foreign = ((i, uri) for i, uri in enumerate(uris) if not self._key(uri))
        return Decoded(rejects=[Reject(i, Reason.FOREIGN_PAYLOAD, uri.encode()) for i, uri in foreign])

    def _key(self, uri: str) -> str | None:
        """Path below the prefix; None if the object lies elsewhere. A folder stands for any bucket."""
        try:
            url = urlsplit(uri, allow_fragments=False)
        except ValueError:
            return None
        key = uri.partition("://")[2].partition("/")[2]
        if url.scheme not in ("s3", "s3a", "cos") or self._bucket not in (None, url.netloc):
            return None
        below = key.removeprefix(self._prefix)
        if (
            not key.startswith(self._prefix)
            or not below
            or "\0" in key
            or {"", ".", ".."} & {*key.split("/")}
        ):
            return None
        return below


def is_manifest(item: CaptureObject) -> bool:
    """By its path."""
    return _MANIFEST.search(item.key) is not None


def whole(chunks: Iterator[bytes], max_record_bytes: int) -> Iterator[Part]:
    """A ``Reader``: the object as one record."""
    data = bytearray()
    try:
        for chunk in chunks:
            data += chunk
            if len(data) > max_record_bytes:
                yield Reject(0, Reason.LINE_TOO_LONG, bytes(data[:KEPT_OF_OVERLONG]))
                return
    except TruncatedStream:
        yield Reject(0, Reason.TRUNCATED_OBJECT, bytes(data))
        return
    if data.strip():
        yield RecordBlock(b"", 0, [bytes(data)])


def _uris(listed: _Listed) -> list[str]:
    """Whole URIs of the objects named."""
    prefix, uris = "", []
    for one in listed:
        if isinstance(one, _Head):
            prefix = one.prefix
        else:
            uris.append(prefix + one)
    return uris
