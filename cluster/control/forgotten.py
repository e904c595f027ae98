"""Who was forgotten, and when: whatever is older of them counts for nothing, and is removed wherever it turns up.

The journal does not name anybody. It has a keyed hash of each id, its key beside it: so much is needed to know again
what a slow process writes late, or an old backup brings back. Who has the journal can test an id, but not read one out.
"""

import hashlib
import secrets
import time
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

from cluster.contract.ids import Id
from cluster.control.journal import Entry, Journal, JournalReader

FILE = "forgotten.jsonl"


class Forgotten:
    """Of a project, for any number of processes. Thread-safe."""

    def __init__(self, folder: str | Path):
        """`folder`: the project's, of what was asked for by hand; it need not be there."""
        self._journal = Journal(Path(folder) / FILE)
        self._reader = JournalReader(self._journal, _order)
        self._key = b""
        self._since: dict[str, int] = {}

    def forget(self, users: Collection[Id], at: int | None = None) -> int:
        """Everything of these users until `at` (microseconds; default: now) is to be forgotten; returns that moment.

        Holds everywhere once it returns. Said again it holds until the later moment. Raises OSError.
        """
        moment = time.time_ns() // 1000 if at is None else at
        self._look()
        if not self._key:
            self._journal.append([{"key": secrets.token_hex(32)}])  # the first in the file counts, whoever wrote it
            self._look()
        self._journal.append([{"user": self._digest(user), "before": moment} for user in users])
        self._look()
        return moment

    def before(self, user: Id | None) -> int:
        """What is older than this, in microseconds, is forgotten; 0: nothing. One `stat` where nothing has changed."""
        self._look()
        if user is None or not self._since:
            return 0
        return self._since.get(self._digest(user), 0)

    def changes(self) -> int:
        """Grows whenever somebody is forgotten."""
        self._look()
        return len(self._since) and sum(self._since.values())

    def keeps(self, users: pa.ChunkedArray | pa.Array, moments: pa.ChunkedArray | pa.Array) -> np.ndarray:
        """bool[n]: which rows stay, by their users and moments (microseconds); a row without a moment is old."""
        self._look()
        stays = np.ones(len(users), bool)
        if not self._since:
            return stays
        column = users.combine_chunks() if isinstance(users, pa.ChunkedArray) else users
        coded = column.dictionary_encode()
        before = np.array([*(self.before(user) for user in coded.dictionary.to_pylist()), 0], np.int64)
        if not before.any():
            return stays
        codes = coded.indices.fill_null(len(before) - 1).to_numpy(zero_copy_only=False)
        at = moments.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
        return np.asarray((before[codes] == 0) | (at >= before[codes]))

    def _digest(self, user: Id) -> str:
        kind = "t" if isinstance(user, str) else "n"
        text = f"{kind}{user}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, key=self._key, digest_size=16).hexdigest()

    def _look(self) -> None:
        self._reader.look(self._take)

    def _take(self, orders: Iterable[tuple[bytes, str, int]], anew: bool) -> None:
        since = {} if anew else dict(self._since)
        key = b"" if anew else self._key
        for new_key, user, before in orders:
            key = key or new_key
            if user:
                since[user] = max(before, since.get(user, 0))
        self._key, self._since = key, since


def _order(entry: Entry) -> tuple[bytes, str, int]:
    """The key, or the hash of a user and a moment."""
    if "key" in entry:
        return bytes.fromhex(entry["key"]), "", 0
    user = entry["user"]
    before = entry["before"]
    if not isinstance(user, str) or not isinstance(before, int):
        raise TypeError("no hash and moment")
    return b"", user, before
