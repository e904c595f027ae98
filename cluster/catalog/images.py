"""The address of each pin's picture, for pages that people look at; no feature, no filter and no answer reads it.

On disk: image_offsets.npy int64[n+1] and image_bytes.npy uint8[·], the addresses one after the other in UTF-8. A bundle
without any such column has neither.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from cluster.errors import BundleError
from cluster.graph.bounds import check_offsets

COLUMN = "image_url"
OFFSETS = "image_offsets.npy"
BYTES = "image_bytes.npy"


@dataclass(frozen=True)
class PinImages:
    """Read-only, memory-mapped. Pins behind those of the bundle have none yet."""

    offsets: np.ndarray  # int64[n+1]
    text: np.ndarray  # uint8[·]

    @classmethod
    def build(cls, folder: Path, pins: pa.Table | None, rows: np.ndarray) -> None:
        """Writes what `open` reads: `rows` int64[n] is each graph pin's row in the pins input, -1 for none."""
        if pins is None or COLUMN not in pins.column_names or pins[COLUMN].null_count == len(pins):
            return
        given = pins[COLUMN].take(pa.array(rows, mask=rows < 0)).combine_chunks().cast(pa.large_string())
        texts = ["" if text is None else text for text in given.to_pylist()]
        encoded = [text.encode() for text in texts]
        np.save(folder / OFFSETS, np.cumsum([0, *map(len, encoded)]).astype(np.int64))
        np.save(folder / BYTES, np.frombuffer(b"".join(encoded), np.uint8))

    @classmethod
    def open(cls, folder: Path) -> "PinImages | None":
        """Maps the files of `build`; None where there are none. Raises BundleError."""
        if not (folder / OFFSETS).exists():
            return None
        try:
            offsets = np.asarray(np.load(folder / OFFSETS, mmap_mode="r"))
            text = np.asarray(np.load(folder / BYTES, mmap_mode="r"))
        except (OSError, ValueError) as error:
            raise BundleError(f"cannot open the pictures in {folder}: {error}; build the graph again") from None
        return cls(offsets, text)

    def check(self) -> None:
        """Raises BundleError where an offset leads outside."""
        check_offsets("offsets of pictures", self.offsets, self.text.size)

    def of(self, pin: int) -> str | None:
        """The address of a pin's picture by the pin's index; None where it has none."""
        if not 0 <= pin < len(self.offsets) - 1:
            return None
        start, end = int(self.offsets[pin]), int(self.offsets[pin + 1])
        return self.text[start:end].tobytes().decode("utf-8", "replace") or None
