"""Input that nobody should write and somebody does: whole objects, lines, and changes to good ones."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator

from hypothesis import strategies as st

HOSTILE = (
    *(b"", b"\n", b" \r\n\t", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"{", b"[", b"]", b'"', b"null", b"7"),
    *(b"[]", b"{}", b"[{}]", b"[[]]", b"[null, 1, {}]", b"{}{}", b"[{},,{}]", b"[{}] x", b'[{"a":1}, {"b'),
    *(b"[" * 100_000, b'{"a":' * 100_000, b'{"request":' * 3000 + b"1" + b"}" * 3000),
    *(
        b'{"request":{},"response":{}}',
        b'{"request":"\\ud800","response":"{}"}',
        b'{"request":"\xff","response":[]}',
    ),
    *(
        b'{"captureData":{}}',
        b'{"captureData":{"endpointInput":{},"endpointOutput":{}}}',
        b'{"captureData":null}',
    ),
    *(b'{"a":NaN}', b'{"a":1e999}', b'{"a":' + b"9" * 5000 + b"}", b'{"\\u0000":"\\u0000"}'),
    *(b"a,b\n1", b'a,"b\n1,2\n', b",\n,\n", b"PAR1", b"PAR1" + b"\0" * 40 + b"PAR1"),
    *(
        b"\x1f\x8b",
        b"\x1f\x8b\x08\x00" + b"\xff" * 40,
        b"\x28\xb5\x2f\xfd",
        b"\x28\xb5\x2f\xfd" + b"\xff" * 40,
    ),
)
_PIECES = (
    *(b"{", b"}", b"[", b"]", b'"', b",", b":", b"\n", b"\\", b"\0", b"\xff", b"null", b"NaN", b"1e999"),
    *(b"-", b"9" * 400, b"\\ud800", b'"",', b"{}", b"[]", b"true", b"PAR1", b"\xef\xbb\xbf", b"\r\n"),
)
_NUMBER = re.compile(rb"(?<=[:,\[])\s*-?\d+(\.\d+)?(?=[,\]}])")
_TYPE = re.compile(rb"(application|text)/(json|csv|jsonlines)")


def is_lines(data: bytes) -> bool:
    """Whether an object is JSON lines, so that each line by itself must be accounted for."""
    return data.lstrip()[:1] == b"{"


def broken(data: bytes) -> Iterator[bytes]:
    """An object that was cut, turned, doubled, overwritten in places, or is something else than it says."""
    yield from (data, data[: len(data) // 2], data[::-1], data * 2, data.replace(b":", b";", 7))
    yield gzip.compress(data)[:-9]
    yield gzip.compress(data)[: len(data) // 8]
    yield _NUMBER.sub(b" " + b"9" * 400, data)
    yield _NUMBER.sub(b"{}", data)
    yield _TYPE.sub(b"image/png", data)
    yield _TYPE.sub(rb"text/\2-\1", data)
    yield data.replace(b"json", b"csv").replace(b"JSON", b"CSV")
    if is_lines(data):
        yield b"\n".join(_doubled(line) for line in data.splitlines())


def _doubled(line: bytes) -> bytes:
    """The same record with every member twice."""
    return line[:-1] + b"," + line.lstrip()[1:] if len(line) > 2 else line


def endless_line(size: int) -> Iterator[bytes]:
    """An object of one line of ``size`` bytes, in chunks."""
    yield b'{"request": "'
    for _ in range(size >> 20):
        yield b"x" * (1 << 20)
    yield b'"}\n'


@st.composite
def mutations(draw: st.DrawFn, data: bytes) -> bytes:
    """``data`` with one to four small changes."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 40)))
        kind = draw(st.sampled_from(("insert", "replace", "delete", "repeat", "cut")))
        piece = draw(st.sampled_from(_PIECES) | st.binary(max_size=4))
        data = {
            "insert": data[:at] + piece + data[at:],
            "replace": data[:at] + piece + data[end:],
            "delete": data[:at] + data[end:],
            "repeat": data[:end] + data[at:],
            "cut": data[:at],
        }[kind]
    return data
