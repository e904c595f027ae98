"""What may be an id: one definition for every endpoint and reader. Knows nothing of HTTP, files or graphs.

A project's ids are all int64 or all text (`ids:` in pinfunnel.yaml). An id of the other type is refused, not cast: the
integer 5 and the text "5" are two pins to every hash and map behind this door.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from cluster.contract.text import text_fault

ID_BYTES = 256
"""Longest text id in UTF-8: longer ones are URLs or documents, and every copy and hash of them would be paid for."""
Id = int | str
LEAST, MOST = -(2**63), 2**63 - 1


@dataclass(frozen=True)
class IdContract:
    """The ids of one project."""

    kind: Literal["int64", "string"]

    def fault(self, value: object) -> str:
        """Why `value` is no id of this project, in a few words; empty when it is one."""
        if self.kind == "string":
            if not isinstance(value, str):
                return f"ids of this project are text, found {shown(value)}"
            if not value:
                return "an id may not be empty"
            return text_fault(value, ID_BYTES)
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
            return f"ids of this project are int64, found {shown(value)}"
        if not LEAST <= value <= MOST:
            return "an int64 id lies between -2^63 and 2^63 - 1"
        return ""


def shown(value: object, most: int = 40) -> str:
    """A value as an error message shows it: ASCII, and never longer than `most` characters."""
    if isinstance(value, int) and abs(value) >= 10**most:
        return f"a number of more than {most} digits"
    text = ascii(value[:most] if isinstance(value, (str, bytes)) else value)
    return text if len(text) <= most else f"{text[:most]}..."


def plain_id(value: object) -> int | str:
    """An id out of an array, as JSON has it."""
    return value if isinstance(value, str) else int(value)  # type: ignore[call-overload]
