"""The compiled part: scan records and write COPY rows at memory speed.

The C sources beside this file are built by ``build_native.py`` when paylog is installed, into a plain
shared library. Without it everything works, slower: the Python codecs and casts are the reference.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

LIBRARY = Path(__file__).with_name("_paylog.so")


@cache
def library() -> ctypes.CDLL | None:
    """The shared library, or None where it was not built or ``PAYLOG_NATIVE=0`` turns it off."""
    if os.environ.get("PAYLOG_NATIVE") == "0" or not LIBRARY.exists():
        return None
    try:
        loaded = ctypes.CDLL(str(LIBRARY))
    except OSError:
        return None
    for name in ("paylog_scan", "paylog_record_ids", "paylog_first_rows", "paylog_copy_rows"):
        getattr(loaded, name).restype = ctypes.c_int64
    loaded.paylog_keep_memory()
    return loaded


def release_memory() -> None:
    """Hand memory that is free, but kept for the next block, back to the system."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    if native := library():
        native.paylog_release_memory()


def address(array: np.ndarray[Any, Any]) -> ctypes.c_void_p:
    """Where an array lies, for a call of the library."""
    return ctypes.c_void_p(array.ctypes.data)
