"""A pseudonym is an id of the same type that only the key leads to, and a key that is none is refused in a line."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.contract.ids import LEAST, MOST, IdContract
from cluster.errors import ConfigError
from cluster.store.pseudonyms import FILE, Pseudonyms, pseudonyms_of

KEY = "0123456789abcdef" * 2
NUMBERS = st.integers(LEAST, MOST)
TEXTS = st.text(min_size=1, max_size=40)


@given(ids=st.one_of(st.lists(NUMBERS, unique=True), st.lists(TEXTS, unique=True, max_size=8)))
@settings(max_examples=40)
def test_each_user_has_one_of_the_ids_own_type(ids: list[int] | list[str]) -> None:
    kind = "string" if ids and isinstance(ids[0], str) else "int64"
    names, others = Pseudonyms(kind, KEY), Pseudonyms(kind, KEY[::-1])
    contract = IdContract(kind)
    sound = [user for user in ids if not contract.fault(user)]
    called = [names.of(user) for user in sound]
    assert called == [names.of(user) for user in sound]
    assert [contract.fault(name) for name in called] == [""] * len(called)
    assert len({*called}) == len(sound)
    assert not {*called} & {others.of(user) for user in sound}
    assert [Pseudonyms(kind).of(user) for user in ids] == ids


@pytest.mark.parametrize("value", [None, "7", True, 2**63, [7], {"a": 1}, 7.0])
def test_what_is_no_id_stays_for_the_contract_to_refuse(value: object) -> None:
    assert Pseudonyms("int64", KEY).of(value) is value


def test_they_stay_the_same_in_every_later_version() -> None:
    """Logs of years ago are read with them."""
    assert Pseudonyms("int64", KEY).of(7) == -7613347423553280967
    assert Pseudonyms("string", KEY).of("seven") == "2a502a4ef69c9c265e98d5440ba60e0e"


@pytest.mark.parametrize(
    ("key", "why"), [(None, "is not set or empty"), ("", "is not set"), ("short", "has fewer than 32")]
)
def test_without_a_key_nothing_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str | None, why: str
) -> None:
    monkeypatch.delenv("LOG_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("LOG_KEY", key)
    with pytest.raises(ConfigError, match=rf"logs.pseudonym_key_env: the environment variable 'LOG_KEY' {why}"):
        pseudonyms_of("int64", "LOG_KEY", tmp_path / "logs")
    assert not (tmp_path / "logs").exists()


def test_what_tells_keys_apart_does_not_tell_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_KEY", KEY)
    names = pseudonyms_of("int64", "LOG_KEY", tmp_path)
    assert pseudonyms_of("int64", "LOG_KEY", tmp_path).of(7) == names.of(7)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert KEY not in (tmp_path / FILE).read_text()
