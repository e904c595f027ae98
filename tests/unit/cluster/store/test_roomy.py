"""Room behind a mapped array: the file stays as it is, and memory goes back with the last user."""

import gc
from pathlib import Path

import numpy as np
import pytest

from cluster.store.roomy import SMALL, with_room

ROWS = 40_000


def mapped(folder: Path, array: np.ndarray) -> np.ndarray:
    np.save(folder / "array.npy", array)
    view = np.asarray(np.load(folder / "array.npy", mmap_mode="r")).view()
    view.flags.writeable = False
    return view


def mappings(folder: Path) -> int:
    return Path("/proc/self/maps").read_text().count(str(folder / "array.npy"))


@pytest.mark.parametrize("shape", [(ROWS,), (ROWS, 3), (ROWS, 0), (3,), (0,)])
@pytest.mark.parametrize("more", [0, 1, 5000])
def test_the_rows_are_there_and_zeros_behind_and_the_file_is_never_written(
    tmp_path: Path, shape: tuple[int, ...], more: int
) -> None:
    rng = np.random.default_rng(0)
    array = rng.integers(1, 2**31, shape).astype(np.uint32)
    file = mapped(tmp_path, array)
    out = with_room(file, len(array) + more)
    np.testing.assert_array_equal(out[: len(array)], array)
    assert not out[len(array) :].any()
    out[...] = 7
    np.testing.assert_array_equal(file, array)
    np.testing.assert_array_equal(np.load(tmp_path / "array.npy"), array)


@pytest.mark.skipif(
    not Path("/proc/self/maps").exists(), reason="looks at this process's mappings, as Linux tells them"
)
def test_memory_is_given_back_with_the_last_view(tmp_path: Path) -> None:
    file = mapped(tmp_path, np.arange(ROWS))
    before = mappings(tmp_path)
    out = with_room(file, ROWS + 1)
    assert mappings(tmp_path) > before
    part = out[5:6]
    del out
    gc.collect()
    assert part[0] == 5
    assert mappings(tmp_path) > before
    del part
    gc.collect()
    assert mappings(tmp_path) == before


def test_a_part_of_a_file_or_an_array_in_memory_is_copied(tmp_path: Path) -> None:
    file = mapped(tmp_path, np.arange(ROWS))
    assert file.nbytes > SMALL
    for array in (file[1:], file[::2], np.arange(ROWS), np.arange(ROWS)[3:]):
        out = with_room(array, len(array) + 2)
        np.testing.assert_array_equal(out[:-2], array)


def test_a_file_that_was_cut_off_is_an_error_and_no_crash(tmp_path: Path) -> None:
    file = mapped(tmp_path, np.arange(ROWS))
    (tmp_path / "array.npy").write_bytes(b"short")
    with pytest.raises(OSError, match="shorter"):
        with_room(file, ROWS + 1)
