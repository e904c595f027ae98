"""Files as they really lie in lakes: read, or named; nothing merged, lost or taken for data in silence."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.contract.ids import ID_BYTES
from cluster.data.cleaning import Tally, clean_edges, clean_pins, now_us
from cluster.data.events import clean_events
from cluster.data.impressions import clean_impressions
from cluster.data.inputs import open_input
from cluster.data.reading import Input
from cluster.data.schema import TIMESTAMP, edges_columns, events_columns, impressions_columns, pins_columns
from cluster.errors import ConfigError, DataError
from cluster.settings.project import DEFAULT_ACTIONS, FeatureSettings, Project, Source
from tests.worlds.fuzz import examples

EDGE = {"board_id": [1], "pin_id": [2]}


def write(path: Path, table: Any = EDGE, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(table), path, **options)
    return path


def edges(path: Path, ids: str = "int64", **columns: str) -> Input:
    return open_input("edges", Source(path=str(path), columns=columns), edges_columns(ids))


@pytest.mark.parametrize(
    "hidden",
    [
        "_temporary/0/part-0.parquet",
        ".ipynb_checkpoints/part-0-checkpoint.parquet",
        "_spark_metadata/x.parquet",
        ".part-0.parquet.crc",
        "_SUCCESS",
        "day=1/_tmp.parquet",
        "day=1/.staging/part.parquet",
        "__MACOSX/part.parquet",
    ],
)
def test_other_tools_files_are_no_data(tmp_path: Path, hidden: str) -> None:
    write(tmp_path / "part-0.parquet")
    write(tmp_path / hidden, {"board_id": [666], "pin_id": [666]})
    assert edges(tmp_path).read()["board_id"].to_pylist() == [1]


@pytest.mark.parametrize("marker", ["_delta_log/0000.json", "_delta_log/0001.checkpoint.parquet", ".hoodie/x"])
def test_a_table_of_a_format_with_removed_rows_is_refused_with_the_way_out(tmp_path: Path, marker: str) -> None:
    write(tmp_path / "part-0.parquet")
    write(tmp_path / marker)
    with pytest.raises(DataError, match=r"edges: .* is a (Delta|Hudi) table: .*write its present rows as Parquet"):
        edges(tmp_path)


def test_an_iceberg_table_is_refused_with_the_way_out(tmp_path: Path) -> None:
    write(tmp_path / "data" / "part-0.parquet")
    write(tmp_path / "metadata" / "v1.metadata.json")
    with pytest.raises(DataError, match=r"is an Iceberg table: .*pyiceberg"):
        edges(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "a.parquet",
        "b.PARQUET",
        "c.Parquet",
        "part-00002-c000",
        "d.snappy.parquet",
        "e.parq",
        "f.pq",
        "g.parquet.1",
        "ü",
    ],
)
def test_parquet_is_read_whatever_its_name(tmp_path: Path, name: str) -> None:
    write(tmp_path / name)
    assert edges(tmp_path).rows == 1


def test_what_is_not_parquet_is_named_as_left_out(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet")
    for name in ("notes.csv", "README", "empty", "sub/x.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("" if name == "empty" else "board_id,pin_id\n1,2\n")
    source = edges(tmp_path)
    assert source.rows == 1
    assert sorted(Path(f).name for f in source.left_out) == ["README", "empty", "notes.csv", "x.json"]


def test_only_other_files_is_an_error_that_names_one(tmp_path: Path) -> None:
    (tmp_path / "edges.csv").write_text("1,2")
    with pytest.raises(DataError, match=r"holds no Parquet files \(\*.parquet\) \(there are 1 other files, like .*csv"):
        edges(tmp_path)


def test_the_names_of_folders_are_columns(tmp_path: Path) -> None:
    for locale in ("de", "pt%20BR", "__HIVE_DEFAULT_PARTITION__"):
        write(tmp_path / f"locale={locale}" / "part-0.parquet", {"pin_id": [len(locale)]})
    columns = pins_columns("int64", FeatureSettings())
    pins = open_input("pins", Source(path=str(tmp_path)), columns).read()
    assert dict(zip(pins["pin_id"].to_pylist(), pins["locale"].to_pylist(), strict=True)) == {
        2: "de", 7: "pt BR", len("__HIVE_DEFAULT_PARTITION__"): None,
    }  # fmt: skip


def test_folders_give_ids_numbers_and_days_and_the_files_own_column_wins(tmp_path: Path) -> None:
    write(tmp_path / "board=7" / "day=2026-01-31" / "p.parquet", {"pin_id": [5], "extra": [1]})
    read = edges(tmp_path, board_id="board", saved_at="day").read()
    assert read["board_id"].to_pylist() == [7]
    assert read["saved_at"].to_pylist() == [datetime(2026, 1, 31, tzinfo=UTC)]
    write(tmp_path / "own" / "board_id=9" / "p.parquet", {"board_id": [3], "pin_id": [5]})
    assert edges(tmp_path / "own").read()["board_id"].to_pylist() == [3]


@pytest.mark.parametrize("value", ["x", "1.5", "", "99999999999999999999"])
def test_a_folder_that_is_no_id_is_named(tmp_path: Path, value: str) -> None:
    write(tmp_path / f"board_id={value}" / "p.parquet", {"pin_id": [5]})
    with pytest.raises(DataError, match=rf"the folder board_id={value} is not int64"):
        edges(tmp_path).read()


@pytest.mark.parametrize(("kind", "most"), [(pa.float16(), 2**11), (pa.float32(), 2**24), (pa.float64(), 2**53)])
def test_float_ids_are_taken_only_while_each_is_told_apart(tmp_path: Path, kind: pa.DataType, most: int) -> None:
    numpy_kind = kind.to_pandas_dtype()
    good = pa.array(np.array([1, most - 1, most], numpy_kind), kind)
    write(tmp_path / "good.parquet", {"board_id": good, "pin_id": good})
    assert edges(tmp_path / "good.parquet").read()["pin_id"].to_pylist() == [1, most - 1, most]
    bad = pa.array(np.array([1, float(most) * 2], numpy_kind), kind)
    write(tmp_path / "bad.parquet", {"board_id": bad, "pin_id": bad})
    with pytest.raises(DataError, match=r"column 'board_id', row 1: .* is not int64"):
        edges(tmp_path / "bad.parquet").read()


@pytest.mark.parametrize("ids", ["int64", "string"])
def test_whole_decimals_are_ids_and_others_are_named(tmp_path: Path, ids: str) -> None:
    whole = pa.array([Decimal(5), None, Decimal(2**62)], pa.decimal128(38, 0))
    write(tmp_path / "good.parquet", {"board_id": whole, "pin_id": whole})
    read = edges(tmp_path / "good.parquet", ids).read()["pin_id"].to_pylist()
    assert read == ([5, None, 2**62] if ids == "int64" else ["5", None, str(2**62)])
    for kind, value in ((pa.decimal128(38, 0), Decimal(2**63)), (pa.decimal128(10, 2), Decimal("1.50"))):
        bad = pa.array([Decimal(1), value], kind)
        write(tmp_path / "bad.parquet", {"board_id": bad, "pin_id": bad})
        with pytest.raises(DataError, match=r"column 'board_id', row 1"):
            edges(tmp_path / "bad.parquet", ids).read()


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array([3])], ["board_id", "pin_id", "pin_id"])
    pq.write_table(table, tmp_path / "e.parquet")
    with pytest.raises(DataError, match=r"column 'pin_id': 2 columns are named 'pin_id': give each"):
        edges(tmp_path / "e.parquet").read()


def latin1(values: list[bytes | None]) -> pa.Array:
    return pa.array(values, pa.binary()).view(pa.string())


@pytest.mark.parametrize("column", ["pin_id", "locale", "topics", "shop"])
def test_bytes_that_are_no_utf8_are_named_by_file_column_and_row(tmp_path: Path, column: str) -> None:
    text = latin1([b"ok", None, "caf\u00e9".encode("latin-1")])
    topics = pa.ListArray.from_arrays(pa.array([0, 1, 2, 3], pa.int32()), text)
    columns = {"pin_id": pa.array(["a", "b", "c"]), "locale": pa.array(["x"] * 3), "shop": pa.array(["s"] * 3)}
    columns |= {column: topics if column == "topics" else text}
    write(tmp_path / "p.parquet", columns, store_schema=True)
    pins = open_input(
        "pins", Source(path=str(tmp_path)), pins_columns("string", FeatureSettings(pin_categorical=("shop",)))
    )
    with pytest.raises(DataError, match=rf"pins: .*p.parquet: column '{column}', row 2: bytes that are not UTF-8"):
        pins.read()


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "utf-32"])
def test_settings_in_another_encoding_are_one_line(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "pinfunnel.yaml"
    file.write_bytes("data: {edges: {path: \u00e9}}".encode(encoding))
    with pytest.raises(ConfigError, match=r"not UTF-8 text .*save it as UTF-8"):
        Project.load(file)


def test_settings_with_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    (tmp_path / "pinfunnel.yaml").write_bytes("data: {edges: {path: e}}".encode("utf-8-sig"))
    assert Project.load(tmp_path / "pinfunnel.yaml").data.edges.path.endswith("/e")


def times(*moments: datetime | None) -> pa.Array:
    us = [None if m is None else round(m.timestamp() * 1e6) for m in moments]
    return pa.array(us, pa.int64()).cast(TIMESTAMP)


STRANGE = [datetime(1, 1, 1, tzinfo=UTC), datetime(1900, 1, 1, tzinfo=UTC), datetime(2262, 4, 11, tzinfo=UTC)]


@pytest.mark.parametrize("moment", STRANGE)
def test_times_outside_the_years_are_missing_and_counted(moment: datetime) -> None:
    tally = Tally()
    table = pa.table(
        {"board_id": [1, 1], "pin_id": [1, 2], "saved_at": times(moment, datetime(2026, 1, 1, tzinfo=UTC))}
    )
    clean = clean_edges(table, now_us(), tally)
    assert clean["saved_at"].null_count == 1
    assert len(clean) == 2
    assert tally.changed == {"saved_at lies outside the years 1970 to 2099 (now missing)": 1}
    pins = pa.table({"pin_id": [1], "created_at": times(moment)})
    assert clean_pins(pins, now_us(), tally)["created_at"].null_count == 1
    schema = pa.schema([(c.name, c.type) for c in events_columns("int64")])
    event = {"user_id": [1], "pin_id": [1], "action": ["save"], "occurred_at": times(moment)}
    events = pa.table({f.name: event.get(f.name, pa.nulls(1, f.type)) for f in schema}, schema=schema)
    assert len(clean_events(events, DEFAULT_ACTIONS, now_us(), tally)) == 0
    assert tally.dropped["occurred_at lies outside the years 1970 to 2099"] == 1


def test_int96_times_are_read_also_far_from_today(tmp_path: Path) -> None:
    saved = pa.array(STRANGE, pa.timestamp("us"))
    table = {"board_id": [1, 2, 3], "pin_id": [1, 2, 3], "saved_at": saved}
    write(tmp_path / "e.parquet", table, use_deprecated_int96_timestamps=True)
    assert edges(tmp_path).read()["saved_at"].to_pylist() == STRANGE


@pytest.mark.parametrize("rows", [[0, 1, 2], [2, 1, 0]])
def test_of_snapshots_the_last_row_holds_or_the_newest_by_updated_at(rows: list[int]) -> None:
    locale = ["de", "fr", "withdrawn"]
    table = pa.table({"pin_id": [7] * 3, "locale": locale, "created_at": times(None, None, None)}).take(pa.array(rows))
    tally = Tally()
    assert clean_pins(table, now_us(), tally)["locale"].to_pylist() == [locale[rows[-1]]]
    assert tally.dropped == {"pin_id is there more than once (the last row is kept)": 2}
    days = [datetime(2026, 1, d, tzinfo=UTC) for d in (1, 2, 3)]
    dated = table.append_column("updated_at", times(*(days[row] for row in rows)))
    tally = Tally()
    assert clean_pins(dated, now_us(), tally)["locale"].to_pylist() == ["withdrawn"]
    assert tally.dropped == {"pin_id is there more than once (the newest by updated_at is kept)": 2}


@pytest.mark.fuzz
@given(st.lists(st.tuples(st.integers(0, 3), st.none() | st.integers(0, 4)), max_size=12))
def test_snapshots_against_a_plain_loop(rows: list[tuple[int, int | None]]) -> None:
    newest: dict[int, tuple[int, int]] = {}
    for at, (pin, updated) in enumerate(rows):
        key = (-1 if updated is None else updated, at)
        newest[pin] = max(newest.get(pin, key), key)
    wanted = sorted(at for _, at in newest.values())
    table = pa.table(
        {
            "pin_id": pa.array([pin for pin, _ in rows], pa.int64()),
            "updated_at": pa.array([u for _, u in rows], pa.int64()).cast(TIMESTAMP),
            "created_at": pa.nulls(len(rows), TIMESTAMP),
            "row": pa.array(range(len(rows)), pa.int64()),
        }
    )
    assert clean_pins(table, now_us(), Tally())["row"].to_pylist() == wanted


def test_ids_longer_than_the_bound_are_dropped_and_counted() -> None:
    tally = Tally()
    long = "é" * (ID_BYTES // 2)
    table = pa.table({"board_id": ["b"] * 3, "pin_id": [long, long + "é", "x" * 200_000]})
    assert clean_edges(table, now_us(), tally)["pin_id"].to_pylist() == [long]
    assert tally.dropped == {f"pin_id is longer than {ID_BYTES} bytes": 2}


def test_a_wrong_action_column_is_told_in_ten_names_and_a_count() -> None:
    schema = pa.schema([(c.name, c.type) for c in events_columns("int64")])
    actions = [f"name {i}" for i in range(20_000)] + ["name 3"] * 5 + ["save"]
    columns = {"user_id": [1] * len(actions), "pin_id": [1] * len(actions), "action": actions}
    columns |= {"occurred_at": times(*[datetime(2026, 1, 1, tzinfo=UTC)] * len(actions))}
    events = pa.table({f.name: columns.get(f.name, pa.nulls(len(actions), f.type)) for f in schema}, schema=schema)
    tally = Tally()
    assert len(clean_events(events, DEFAULT_ACTIONS, now_us(), tally)) == 1
    assert len(tally.dropped) == 11
    assert tally.dropped["action 'name 3' is not among `actions`"] == 6
    assert tally.dropped["action is one of 19,990 others that are not among `actions`"] == 19_990


def any_array() -> st.SearchStrategy[pa.Array]:
    """Arrays of any type that a writer may choose for a column, with nulls in any pattern."""

    def nullable(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
        return st.lists(st.none() | values, min_size=3, max_size=3)

    integers = [pa.int8(), pa.uint8(), pa.int16(), pa.uint32(), pa.int64(), pa.uint64()]
    small = st.sampled_from(integers).flatmap(lambda t: nullable(st.integers(0, 127)).map(lambda v: pa.array(v, t)))
    large = nullable(st.integers(0, 2**64 - 1)).map(lambda v: pa.array(v, pa.uint64()))
    floats = st.sampled_from([pa.float32(), pa.float64()]).flatmap(
        lambda t: nullable(st.floats(width=32)).map(lambda v: pa.array(v, t))
    )
    texts = st.sampled_from([pa.string(), pa.large_string()]).flatmap(
        lambda t: nullable(st.text(st.characters(exclude_categories=["Cs"]), max_size=5)).map(lambda v: pa.array(v, t))
    )
    coded = nullable(st.sampled_from(["a", "b"])).map(lambda v: pa.array(v, pa.string()).dictionary_encode())
    raw = nullable(st.binary(max_size=4)).map(lambda v: pa.array(v, pa.binary()))
    badly = nullable(st.binary(max_size=4)).map(lambda v: pa.array(v, pa.binary()).view(pa.string()))
    units = st.sampled_from(["s", "ms", "us", "ns"])
    stamps = units.flatmap(
        lambda u: nullable(st.integers(-(2**62), 2**62)).map(lambda v: pa.array(v, pa.int64()).cast(pa.timestamp(u)))
    )
    dates = nullable(st.integers(-(10**6), 10**6)).map(lambda v: pa.array(v, pa.int32()).cast(pa.date32()))
    lists = nullable(st.lists(st.none() | st.text(st.sampled_from("ab"), max_size=2), max_size=2)).map(
        lambda v: pa.array(v, pa.list_(pa.string()))
    )
    structs = nullable(st.fixed_dictionaries({"a": st.integers(0, 3)})).map(lambda v: pa.array(v))
    empty = st.just(pa.nulls(3))
    return st.one_of(small, large, floats, texts, coded, raw, badly, stamps, dates, lists, structs, empty)


@pytest.mark.fuzz
@given(any_array(), any_array(), any_array(), any_array(), st.sampled_from(["int64", "string"]))
@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_impressions_are_counted_row_by_row_or_refused_in_one_line(
    tmp_path_factory: Any, request: pa.Array, pin: pa.Array, position: pa.Array, shown: pa.Array, ids: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    columns = {"request_id": request, "user_id": [1, 2, 3], "pin_id": pin, "position": position, "shown_at": shown}
    try:
        write(folder / "i.parquet", columns)
    except (pa.ArrowException, UnicodeDecodeError):
        return  # not even Arrow can write it
    source = open_input("impressions", Source(path=str(folder)), impressions_columns(ids))
    table = read_or_reason(source)
    if isinstance(table, str):
        assert "\n" not in table
        assert "impressions: " in table
        return
    tally = Tally()
    clean = clean_impressions(table, now_us(), tally)
    assert len(clean) + sum(tally.dropped.values()) == 3
    assert not sum(clean[name].null_count for name in columns)


def read_or_reason(source: Input) -> pa.Table | str:
    try:
        return source.read()
    except DataError as error:
        return str(error)


@pytest.mark.fuzz
@given(any_array(), any_array(), any_array(), st.sampled_from(["int64", "string"]))
@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_arrow_column_is_read_losslessly_or_refused_in_one_line(
    tmp_path_factory: Any, board: pa.Array, pin: pa.Array, saved: pa.Array, ids: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    try:
        write(folder / "e.parquet", {"board_id": board, "pin_id": pin, "saved_at": saved})
    except (pa.ArrowException, UnicodeDecodeError):
        return  # not even Arrow can write it
    table = read_or_reason(edges(folder, ids))
    if isinstance(table, str):
        assert "\n" not in table
        assert "edges: " in table
        return
    assert table.schema == edges(folder, ids).schema()
    table.validate(full=True)
    kept = clean_edges(table, now_us(), Tally())
    for name, given_values in (("board_id", board), ("pin_id", pin)):
        assert table[name].null_count >= given_values.null_count
        distinct = len(set(given_values.drop_null().to_pylist()) - {float("nan")})
        if not pa.types.is_floating(given_values.type):
            assert len(set(table[name].drop_null().to_pylist())) == distinct, "no two ids became one"
    assert len(kept) <= 3


@pytest.mark.parametrize(
    ("features", "column"),
    [
        ({"pin_numeric": ["pin_id"]}, "pin_id"),
        ({"pin_categorical": ["locale"]}, "locale"),
        ({"pin_numeric": ["x", "x"]}, "x"),
        ({"pin_numeric": ["x"], "pin_categorical": ["x"]}, "x"),
        ({"pin_numeric": ["vector"], "pin_vector_width": 2}, "vector"),
    ],
)
def test_a_feature_that_takes_a_name_that_is_taken_is_named_before_any_file_is_read(
    tmp_path: Path, features: dict[str, Any], column: str
) -> None:
    columns = pins_columns("int64", FeatureSettings.model_validate(features))
    with pytest.raises(ConfigError, match=rf"two columns named '{column}': name it once.*own_{column}: {column}"):
        open_input("pins", Source(path=str(write(tmp_path / "pins.parquet", {"pin_id": [1]}))), columns)


@pytest.mark.parametrize("path", ["foo://bucket/x", "s3a://bucket/x"])
def test_a_uri_that_nothing_opens_is_named_with_its_setting(path: str) -> None:
    with pytest.raises(DataError, match=rf"edges: {path}: cannot be opened .*correct `data.edges.path`"):
        open_input("edges", Source(path=path), edges_columns("int64"))
