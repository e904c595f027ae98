"""Which writer has a user: the same one in every process, for ever."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.logs.shard import WHOLE, Shard, shard_of, shards_of


def test_the_hash_is_fixed_for_ever() -> None:
    """CRC-32 of the id as text: what librdkafka calls the partitioner `consistent`."""
    assert shard_of(123456789, 2**32) == shard_of("123456789", 2**32) == 0xCBF43926, "the check value of CRC-32"
    assert [shard_of(user, 1000) for user in (0, -1, "ünïcode", "")] == [209, 962, 434, 0]


@given(st.one_of(st.integers(-(2**63), 2**63 - 1), st.text()), st.integers(1, 64), st.integers(1, 8))
def test_partitions_that_the_writers_divide_keep_a_user_with_its_writer(user: int | str, writers: int, by: int) -> None:
    assert shard_of(user, writers * by) % writers == shard_of(user, writers)
    assert [shard.has(user) for shard in shards_of(writers)].count(True) == 1


@pytest.mark.parametrize("users", [pa.array([], pa.int64()), pa.array([*range(99), 5]), pa.array(["a", "b", "a", ""])])
def test_every_row_of_a_table_is_in_the_table_of_one_shard(users: pa.Array) -> None:
    table = pa.table({"user_id": users, "row": list(range(len(users)))})
    parts = [shard.only(table) for shard in shards_of(3)]
    for shard, part in zip(shards_of(3), parts, strict=True):
        assert part.to_pylist() == [row for row in table.to_pylist() if shard.has(row["user_id"])]
    assert sum(map(len, parts)) == len(table)
    assert WHOLE.only(table) is table


def test_the_first_writer_keeps_the_plain_name() -> None:
    assert [shard.named("wal") for shard in shards_of(3)] == ["wal", "wal-2", "wal-3"]
    assert Shard(0, 1) == WHOLE
