# Sourced before every `ray start` on a machine of a cluster, on the head and the workers alike: Ray reads these when a
# process starts, and nodes that disagree fail in ways that are hard to see. cluster/session.py sets the same values.
export RAY_SERVE_ENABLE_HA_PROXY=1
export RAY_SERVE_THROUGHPUT_OPTIMIZED=1
export RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S=1
export RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S=45
export RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S=30
export RAY_TRAIN_V2_ENABLED=1
export RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO=0
export RAY_USAGE_STATS_ENABLED=0
# Who holds the token (~/.ray/auth_token, made by `ray get-auth-token --generate`) may run any code on the cluster.
export RAY_AUTH_MODE=token
# The environment that the launcher made with `.ci/venv`; in a container Ray is on the PATH already.
if [ -d "$HOME/pinfunnel-venv/bin" ]; then export PATH="$HOME/pinfunnel-venv/bin:$PATH"; fi
