"""Processes below a process are found, however deep, and nothing else."""

import os
import signal
import subprocess
import sys

from cluster.processes import below, marked, name_of


def test_children_and_theirs_are_found() -> None:
    nested = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", nested], stdin=subprocess.PIPE) as child:
        try:
            for _ in range(1000):
                found = below(child.pid)
                if found:
                    break
            assert len(found) == 1
            mine = below(os.getpid())
            assert mine.index(child.pid) < mine.index(found[0])
            assert os.getppid() not in mine
            assert "input()" in name_of(found[0])
        finally:
            assert child.stdin is not None
            child.stdin.close()
    assert child.pid not in below(os.getpid())


def test_orphans_are_found_by_their_mark() -> None:
    quiet = "stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL"
    code = "[sys.executable, '-c', 'import time; time.sleep(60)']"
    nested = f"import subprocess, sys; print(subprocess.Popen({code}, {quiet}).pid, flush=True)"
    environment = {**os.environ, "PINFUNNEL_TEST": "orphan"}
    done = subprocess.run(
        [sys.executable, "-c", nested], env=environment, stdout=subprocess.PIPE, check=True, timeout=30
    )
    orphan = int(done.stdout)
    try:
        assert orphan not in below(os.getpid())
        assert marked("PINFUNNEL_TEST", "orphan") == [orphan]
        assert marked("PINFUNNEL_TEST", "orph") == []
    finally:
        os.kill(orphan, signal.SIGKILL)
