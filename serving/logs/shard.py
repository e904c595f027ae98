"""Which of several writers has a user: by a hash that every process, and every Kafka client, computes alike.

CRC-32 of the id as text is how librdkafka chooses a partition for a key, so a topic's partitions split users in the
same way wherever the number of writers divides theirs.
"""

from dataclasses import dataclass
from zlib import crc32

import pyarrow as pa

from serving.request.ask import Id


def user_key(user: Id) -> bytes:
    """A user id as bytes."""
    return str(user).encode("utf-8", "surrogatepass")


def shard_of(user: Id, shards: int) -> int:
    """The user's shard, from 0."""
    return crc32(user_key(user)) % shards if shards > 1 else 0


@dataclass(frozen=True)
class Shard:
    """The users of one writer of `of`."""

    index: int = 0
    of: int = 1

    @property
    def whole(self) -> bool:
        """Whether it has every user."""
        return self.of == 1

    def has(self, user: Id) -> bool:
        """Whether the user is among them."""
        return shard_of(user, self.of) == self.index

    def named(self, name: str) -> str:
        """A name of this writer's own: the first keeps the plain one."""
        return f"{name}-{self.index + 1}" if self.index else name

    def only(self, table: pa.Table) -> pa.Table:
        """The rows of these users, by the column `user_id`."""
        if self.whole:
            return table
        users = table["user_id"].combine_chunks().dictionary_encode()
        mine = pa.array([self.has(user) for user in users.dictionary.to_pylist()], pa.bool_())
        return table.filter(mine.take(users.indices))


WHOLE = Shard()
"""Every user: of the only writer."""


def shards_of(writers: int) -> list[Shard]:
    """Which users each of several writers has."""
    return [Shard(index, writers) for index in range(writers)]
