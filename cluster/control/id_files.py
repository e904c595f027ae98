"""Files of ids, one a line, as people and scripts write them."""

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


def read_ids(path: Path, contract: IdContract) -> list[int | str]:
    """The ids of a text file in UTF-8; empty lines count for nothing. Raises DataError with file, line and fault."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}): write one id a line, in UTF-8") from None
    ids: list[int | str] = []
    for number, line in enumerate(lines, 1):
        if not (text := line.strip("\r\t ")):
            continue
        try:
            ids.append(read_id(text, contract))
        except DataError as error:
            raise DataError(f"{path}, line {number}: {error}") from None
    if not ids:
        raise DataError(f"{path}: no ids in it: write one a line")
    return ids
