# Sourced before every `ray start` on a machine of a cluster, on the head and the workers alike: Ray reads these when a
# process starts, and nodes that disagree fail in ways that are hard to see. cluster/session.py sets the same values.
export RAY_SERVE_ENABLE_HA_PROXY=1
export RAY_SERVE_THROUGHPUT_OPTIMIZED=1
export RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S=1
export RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S=45
export RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S=30
export RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S=35
export RAY_SERVE_HAPROXY_TIMEOUT_CONNECT_S=1
export RAY_SERVE_HAPROXY_BINARY_PATH=$HOME/pinfunnel/cluster/launch/haproxy.sh
export RAY_health_check_period_ms=1000
export RAY_health_check_timeout_ms=2000
export RAY_grpc_client_keepalive_time_ms=10000
export RAY_grpc_client_keepalive_timeout_ms=10000
export RAY_gcs_rpc_server_reconnect_timeout_s=600
export RAY_TRAIN_V2_ENABLED=1
export RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO=0
export RAY_USAGE_STATS_ENABLED=0
# Where Numba keeps what it compiled: in the checkout it would be news to a head that comes back, which restarts workers then.
export NUMBA_CACHE_DIR=$HOME/.cache/pinfunnel-numba
# Who holds the token (~/.ray/auth_token, made by `ray get-auth-token --generate`) may run any code on the cluster.
export RAY_AUTH_MODE=token
# On the head, a Redis that keeps the cluster's state while the head is away (docs/cluster.md): RAY_REDIS_ADDRESS=host:port,
# and RAY_REDIS_PASSWORD=... where it wants one.
if [ -f "$HOME/.ray/redis.sh" ]; then
  set -a
  . "$HOME/.ray/redis.sh"
  RAY_external_storage_namespace=${RAY_external_storage_namespace:-pinfunnel}
  set +a
fi
# The environment that the launcher made with `.ci/venv`; in a container Ray is on the PATH already.
if [ -d "$HOME/pinfunnel-venv/bin" ]; then export PATH="$HOME/pinfunnel-venv/bin:$PATH"; fi
