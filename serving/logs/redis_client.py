"""How users' state lies in Redis or Valkey, and clients for it. The client (redis) is an extra.

A key for each user has all that is known of that user, so that one command reads or replaces it; it expires. A key for
each writer has the tag of what that writer has written; it expires within seconds unless the writer keeps saying that
everything it knows is there. What has another tag is old.
"""

import os
from typing import TYPE_CHECKING, Any

from cluster.errors import ConfigError
from cluster.settings.events import RedisSettings
from serving.logs.shard import Shard, user_key
from serving.request.ask import Id

if TYPE_CHECKING:
    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis


def key_of_user(settings: RedisSettings, user: Id) -> bytes:
    """Where the user's state lies."""
    return f"{settings.prefix}:user:".encode() + user_key(user)


def key_of_writer(settings: RedisSettings, shard: Shard) -> bytes:
    """Where the writer's tag lies while it lives and has written everything."""
    return f"{settings.prefix}:writer:{shard.index + 1}-of-{shard.of}".encode()


def writing_client(settings: RedisSettings, seconds: float) -> "Redis":
    """For the one thread that writes. Raises ConfigError without the extra or the password; no server is asked."""
    try:
        from redis import Redis
    except ImportError:
        raise _no_client() from None
    return Redis.from_url(settings.url, **_options(settings, seconds))


def reading_client(settings: RedisSettings, seconds: float) -> "AsyncRedis":
    """For coroutines. Raises ConfigError as `writing_client`."""
    try:
        from redis.asyncio import Redis
    except ImportError:
        raise _no_client() from None
    return Redis.from_url(settings.url, **_options(settings, seconds))


def check_redis(settings: RedisSettings) -> None:
    """Raises ConfigError for what every process would refuse; no server is asked."""
    writing_client(settings, 1.0)


def _options(settings: RedisSettings, seconds: float) -> dict[str, Any]:
    """No retries: who reads has somebody else to ask, and who writes must hear of every failure."""
    options: dict[str, Any] = {"socket_timeout": seconds, "socket_connect_timeout": seconds, "retry": None}
    if settings.password_env is not None:
        if not os.environ.get(settings.password_env):
            raise ConfigError(f"events.state.redis.password_env: the variable {settings.password_env} is not set")
        options["password"] = os.environ[settings.password_env]
    return options


def _no_client() -> ConfigError:
    return ConfigError("events.state.redis: the client is not installed: pip install 'pinfunnel[redis]'")
