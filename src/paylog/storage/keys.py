"""Keys of capture objects: which names count, and what a prefix means."""

from __future__ import annotations

_NOT_CAPTURES = (".crc", ".tmp", "/")  # checksums, unfinished writes, folder placeholders


def is_capture(key: str) -> bool:
    """False for what engines and file systems leave beside their logs.

    :param key: below the storage's root; the root's own name is the user's business.
    """
    return is_visible(key) and not key.endswith(_NOT_CAPTURES)


def is_visible(key: str) -> bool:
    """False when a part is hidden or a marker: starts with ``.`` or ``_`` (``_SUCCESS``, ``_temporary/``)."""
    return not any(part.startswith((".", "_")) for part in key.split("/"))


def root_prefix(prefix: str) -> str:
    """``prefix`` as a folder: no slash in front, one at the end, empty for none."""
    bare = prefix.strip("/")
    return f"{bare}/" if bare else ""
