"""Files of ids, one a line, as people and scripts write them."""

from codecs import BOM_UTF8
from pathlib import Path

from cluster.contract.ids import IdContract
from cluster.errors import DataError


def read_id(text: str, contract: IdContract) -> int | str:
    """An id as it is typed. Raises DataError with what is wrong."""
    value: int | str = text
    if contract.kind == "int64" and text.removeprefix("-").isdecimal() and text.isascii():
        value = int(text)
    if reason := contract.fault(value):
        raise DataError(reason)
    return value


def read_ids(path: Path, contract: IdContract) -> tuple[list[int | str], list[str]]:
    """The ids of a text file in UTF-8, and what is wrong with each line that is none; empty lines count for nothing.

    A bad line is left out alone: what is to go must not stay for it. Raises DataError for a file that has no ids at
    all, and names its first fault.
    """
    try:
        lines = path.read_bytes().removeprefix(BOM_UTF8).split(b"\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error}): write one id a line, in UTF-8") from None
    ids: list[int | str] = []
    refused: list[str] = []
    for number, line in enumerate(lines, 1):
        try:
            if text := line.decode("utf-8").strip("\r\t "):
                ids.append(read_id(text, contract))
        except UnicodeDecodeError:
            refused.append(f"{path}, line {number}: no UTF-8")
        except DataError as error:
            refused.append(f"{path}, line {number}: {error}")
    if not ids:
        raise DataError(refused[0] if refused else f"{path}: no ids in it: write one a line")
    return ids, refused
