"""HTTP calls to a server of a test's own: each over a new connection, as another caller's, and cheap.

`httpx.get` reads all certificate authorities each time: 50 ms of computing that the server lacks.
"""

import httpx

_CLIENT = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0))
request = _CLIENT.request
get = _CLIENT.get
post = _CLIENT.post
