"""What is wrong with the settings of Redis is said in a line, before any server is asked."""

import sys

import pytest

from cluster.errors import ConfigError
from cluster.settings.events import EventSettings, RedisSettings
from cluster.settings.parsing import parse
from serving.logs.redis_client import check_redis, key_of_user

HERE = RedisSettings(url="redis://localhost:6379/0")


@pytest.mark.parametrize(
    "url",
    [
        "redis://host",
        "redis://me@host:6379/1",
        "rediss://[::1]:6380/0?ssl_ca_certs=/ca.pem",
        "unix:///run/redis.sock?db=1",
    ],
)
def test_addresses_of_a_server(url: str) -> None:
    assert RedisSettings(url=url).url == url


@pytest.mark.parametrize(
    "url", ["", "host:6379", "http://host", "redis://", "redis://:secret@host", "redis://host:many"]
)
def test_what_is_no_address_is_refused_by_name(url: str) -> None:
    with pytest.raises(ConfigError, match=r"pinfunnel\.yaml: state\.redis\.url: ") as error:
        parse(EventSettings, {"state": {"redis": {"url": url}}}, "pinfunnel.yaml")
    assert "\n" not in str(error.value)


def test_the_password_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("redis")
    secret = HERE.model_copy(update={"password_env": "OUR_PASSWORD"})
    monkeypatch.delenv("OUR_PASSWORD", raising=False)
    with pytest.raises(ConfigError, match=r"events\.state\.redis\.password_env: the variable OUR_PASSWORD is not set"):
        check_redis(secret)
    monkeypatch.setenv("OUR_PASSWORD", "x")
    check_redis(secret)


def test_without_the_client_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigError, match=r"pip install 'pinfunnel\[redis\]'"):
        check_redis(HERE)


def test_projects_with_prefixes_of_their_own_do_not_meet() -> None:
    other = HERE.model_copy(update={"prefix": "other"})
    assert key_of_user(HERE, 7) == b"pinfunnel:user:7"
    assert key_of_user(other, "seven") == b"other:user:seven"
