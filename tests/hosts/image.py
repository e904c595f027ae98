"""The disk image of a host: the virtual environment that `.ci/venv` would make there, in seconds instead of minutes.

Files are hard links to those of the environment that runs the tests; what names a path is written anew.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import yaml


def write_environment(source: Path, target: Path, checkout: Path, at: str, code: str) -> None:
    """Fill `target`, seen at `at`, from the environment `source`; the project's code is imported from `code`.

    `checkout` is the code that hosts get. `.ci/venv` finds nothing to do where its stamp is right: the same
    pyproject.toml, constraints and interpreter.
    """
    source = source.resolve()
    target.mkdir()
    subprocess.run(["cp", "-al", f"{source}/lib", f"{target}/lib"], check=True)
    os.symlink("lib", target / "lib64")
    (target / "pyvenv.cfg").write_text((source / "pyvenv.cfg").read_text())
    (target / "bin").mkdir()
    for file in (source / "bin").iterdir():
        if file.is_dir():
            continue
        if file.is_symlink():
            os.symlink(os.readlink(file), target / "bin" / file.name)
        else:
            text = file.read_bytes().replace(f"{source}/".encode(), f"{at}/".encode())
            (target / "bin" / file.name).write_bytes(text)
            shutil.copymode(file, target / "bin" / file.name)
    for file in target.glob("lib/python*/site-packages/__editable__*"):
        editable = file.read_text()
        file.unlink()  # the link; the file itself is the environment's
        file.write_text(editable.replace(str(source.parent), code))
    stamp = b"".join(
        [
            (checkout / "pyproject.toml").read_bytes(),
            (checkout / "constraints.txt").read_bytes(),
            f"Python {sys.version.split()[0]}\n".encode(),
            f"{code}/{at} {_wanted(checkout)}\n".encode(),
        ]
    )
    (target / ".stamp").write_text(f"{hashlib.sha256(stamp).hexdigest()}  -")


def _wanted(checkout: Path) -> str:
    """What on-prem.yaml has `.ci/venv` install, with its extras."""
    commands: list[str] = yaml.safe_load((checkout / "cluster" / "launch" / "on-prem.yaml").read_text())[
        "setup_commands"
    ]
    return next(shlex.split(command)[-1] for command in commands if ".ci/venv" in command)
