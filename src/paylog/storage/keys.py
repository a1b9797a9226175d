"""Keys of capture objects: which names count, and what a prefix means."""

from __future__ import annotations

# Checksums, unfinished writes (Spark, HDFS, browsers, editors), folder placeholders.
_NOT_CAPTURES = (".crc", ".tmp", "._COPYING_", ".inprogress", ".part", ".crdownload", ".swp", "~", "/")


def is_capture(key: str) -> bool:
    """False for what engines and file systems leave beside their logs.

    :param key: below the storage's root; the root's own name is the user's business.
    """
    return is_visible(key) and not key.endswith(_NOT_CAPTURES)


def is_visible(key: str) -> bool:
    """False when a part is hidden or a marker: starts with ``.`` or ``_`` (``_SUCCESS``, ``_temporary/``).

    A Hive partition may start with ``_``, as Spark has it (``_date=2024-01-19/``).
    """
    parts = key.split("/")
    return not any(part.startswith(".") or (part.startswith("_") and "=" not in part) for part in parts)


def root_prefix(prefix: str) -> str:
    """``prefix`` as a folder: no slash in front, one at the end, empty for none."""
    bare = prefix.strip("/")
    return f"{bare}/" if bare else ""
