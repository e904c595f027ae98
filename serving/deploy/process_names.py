"""What Ray Serve calls the processes of a served funnel on their command lines. Knows no Ray."""

REPLICA = "ray::ServeReplica:pinfunnel:"


def is_one(name: str, what: str) -> bool:
    """Whether a command line is that of a kind of process; a replica that has not begun yet is none."""
    if what == "proxy":
        return "haproxy -db -f " in name
    begins = "ray::ServeController" if what == "controller" else f"{REPLICA}{what}"
    return name.startswith(begins) and not name[len(begins) :][:1].isalnum()
