"""Arrays of a bundle with room behind them, writable: what is not written to stays shared by all processes.

A file of a bundle is mapped over the beginning of memory of this process's own (private, copy on write), so that rows
which are added lie right behind those of the file, and no reader sees a seam. A page that is written to, and one behind
the file, costs its size; all others are the page cache's.
"""

import ctypes
import mmap
import os
import sys
import weakref
from typing import Any

import numpy as np

SMALL = 1 << 16
"""Bytes up to which a copy is cheaper than a mapping."""
LARGE_PAGE = 1 << 21
"""Where mappings begin: elsewhere Linux maps small pages even of a file that it holds in large ones."""
_MAP_FIXED = 0x10
_MAP_NORESERVE = 0x4000
_FAILED = ctypes.c_void_p(-1).value


def with_room(array: np.ndarray, rows: int) -> np.ndarray:
    """A writable array of `rows` rows, those of `array` first and zeros behind; `array` itself stays as it is.

    A copy where `array` is no file of a bundle, or small. Raises OSError where the file is gone.
    """
    source = _file_of(array)
    if source is None or array.nbytes <= SMALL or sys.platform != "linux":
        out = np.zeros((rows, *array.shape[1:]), array.dtype)
        out[: len(array)] = array
        return out
    begin = int(source.offset)
    count = rows * int(np.prod(array.shape[1:], dtype=np.int64))
    region = _mapped(str(source.filename), begin + array.nbytes, begin + count * array.itemsize)
    return np.frombuffer(region, array.dtype, count, begin).reshape(rows, *array.shape[1:])


def _file_of(array: np.ndarray) -> np.memmap | None:
    """The mapped file that an array is the whole of; None where it is anything else."""
    found: Any = array
    while isinstance(found, np.ndarray):
        if isinstance(found, np.memmap) and not isinstance(found.base, np.ndarray) and found.filename is not None:
            whole = array.flags.c_contiguous and array.size == found.size and array.dtype == found.dtype
            return found if whole and array.ctypes.data == found.ctypes.data else None
        found = found.base
    return None


def _mapped(path: str, file_bytes: int, total: int) -> Any:
    """A buffer of `total` bytes that begins with the first `file_bytes` of a file, unmapped with its last user."""
    libc = _libc()
    both = mmap.PROT_READ | mmap.PROT_WRITE
    own = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size < file_bytes:
            raise OSError(f"{path} is shorter than it was")
        reserved = total + LARGE_PAGE
        start = libc.mmap(None, reserved, both, own, -1, 0)
        if start == _FAILED:
            raise OSError(ctypes.get_errno(), f"no memory for {total} bytes", path)
        base = -(-start // LARGE_PAGE) * LARGE_PAGE
        if libc.mmap(base, file_bytes, both, mmap.MAP_PRIVATE | _MAP_FIXED, file.fileno(), 0) == _FAILED:
            failed = ctypes.get_errno()
            libc.munmap(start, reserved)
            raise OSError(failed, "cannot be mapped", path)
    region = (ctypes.c_char * total).from_address(base)
    weakref.finalize(region, libc.munmap, start, reserved).atexit = False  # at the end others may still read it
    return region


def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
    libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    return libc
