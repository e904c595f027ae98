"""The newest lines that replicas of the joined cluster have logged, from every node, by Ray's own state API."""

from collections.abc import Iterator

PATTERN = "serve/replica_*{match}*"


def newest_lines(match: str, lines: int) -> Iterator[tuple[str, str]]:
    """(node and file, its last lines) of every replica with `match` in the name of its file."""
    from ray.util.state import get_log, list_logs, list_nodes

    for node in list_nodes(filters=[("state", "=", "ALIVE")]):
        found = list_logs(node_id=node.node_id, glob_filter=PATTERN.format(match=match))
        for name in sorted(name for names in found.values() for name in names):
            parts = list(get_log(node_id=node.node_id, filename=name, tail=lines))
            yield f"{node.node_ip} {name}", "".join(parts).rstrip()
