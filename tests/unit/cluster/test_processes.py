"""Processes below a process are found, however deep, and nothing else."""

import os
import subprocess
import sys

from cluster.processes import below, name_of


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
