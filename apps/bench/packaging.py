"""Megabytes that an installation takes on the disk, package by package and by extra.

A package counts with all files that its installer wrote, compiled Python among them, as blocks of the disk.

`mb.<plain, full, all>`: pinfunnel with what it asks for, alone and with these extras; `added.<full, all>`: what that is
more than plain. `packages.plain`: each package from one megabyte, the largest first; `packages.<full, all>`: those that
the extra adds. `venv_mb`: a fresh environment with the plain wheel, pip among it. Without --quick a wheel is built
from the checkout and installed into that environment with the versions of constraints.txt; the extras, and with --quick
everything, are read off the packages of the environment that runs this.

    python -m apps.bench.packaging [--quick] [--json OUT]
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from apps.bench.machine import machine, versions
from cluster.errors import ConfigError

CHECKOUT = Path(__file__).parents[2]
NAME = "pinfunnel"
EXTRAS = ("full", "all")
BLOCK = 512
"""Bytes of a block as `stat` counts them."""


def run(quick: bool = False) -> dict[str, Any]:
    """Megabytes of the plain installation and of what extras add.

    Raises ConfigError where packages of an extra are missing, or, without `quick`, outside a checkout.
    """
    here = Path(sysconfig.get_path("purelib"))
    if quick:
        plain, venv = megabytes(here, closure(here)), None
    else:
        with tempfile.TemporaryDirectory(prefix="bench-packaging-") as scratch:
            site, venv = _fresh(Path(scratch))
            plain = megabytes(site, closure(site))
    report: dict[str, Any] = {"mb": {"plain": _total(plain)}, "added": {}, "packages": {"plain": _from_one(plain)}}
    for extra in EXTRAS:
        more = megabytes(here, closure(here, (extra,)) - closure(here))
        report["mb"][extra] = round(_total(plain) + _total(more), 1)
        report["added"][extra] = _total(more)
        report["packages"][extra] = _from_one(more)
    return {**report, "venv_mb": venv, "machine": machine(), "versions": versions(NAME)}


def closure(site: Path, extras: Iterable[str] = ()) -> set[str]:
    """Names of the packages below `site` that pinfunnel with `extras` asks for, itself among them.

    Raises ConfigError when one is not there.
    """
    found: dict[str, set[str]] = {}
    waiting = [(NAME, {"", *extras})]
    while waiting:
        name, asked = waiting.pop()
        if asked <= found.get(name, set()):
            continue
        found.setdefault(name, set()).update(asked)
        for line in _own_requirements() if name == NAME else _distribution(site, name).requires or ():
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": one}) for one in asked):
                waiting.append((_normal(needed.name), {"", *needed.extras}))
    return set(found)


def _own_requirements() -> list[str]:
    """Of the checkout that this file is in, whose environment may have been made from an older one; else installed."""
    if not (CHECKOUT / "pyproject.toml").is_file():
        return metadata.distribution(NAME).requires or []
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    lines = list(project["dependencies"])
    for extra, needed in project["optional-dependencies"].items():
        for line, _, marker in (one.partition(";") for one in needed):
            lines.append(f"{line} ; ({marker}) and extra == '{extra}'" if marker else f"{line} ; extra == '{extra}'")
    return lines


def megabytes(site: Path, names: Iterable[str]) -> dict[str, float]:
    """By package, the largest first."""
    sizes = {name: _blocks(_distribution(site, name)) * BLOCK / 1e6 for name in names}
    return dict(sorted(sizes.items(), key=lambda one: -one[1]))


def _blocks(package: metadata.Distribution) -> int:
    paths = {Path(str(package.locate_file(file))) for file in package.files or ()}
    return sum(path.stat().st_blocks for path in paths if path.is_file())


def _distribution(site: Path, name: str) -> metadata.Distribution:
    wanted = re.compile(r"[-_.]+".join(map(re.escape, name.split("-"))), re.IGNORECASE)
    for found in metadata.distributions(path=[str(site)]):
        if wanted.fullmatch(found.metadata["Name"]):
            return found
    raise ConfigError(f"the package {name} is not installed in {site}: pip install 'pinfunnel[all]'")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _total(sizes: dict[str, float]) -> float:
    return round(sum(sizes.values()), 1)


def _from_one(sizes: dict[str, float]) -> dict[str, float]:
    return {name: round(size, 1) for name, size in sizes.items() if size >= 1}


def _fresh(scratch: Path) -> tuple[Path, float]:
    """The packages of a new environment with the plain wheel, and the megabytes of that environment."""
    if not (CHECKOUT / "constraints.txt").is_file():
        raise ConfigError("bench packaging builds a wheel: run it in a checkout, or with --quick")
    built, copy = scratch / "wheel", scratch / "copy"
    copy.mkdir()  # a build leaves folders behind
    for path in CHECKOUT.iterdir():
        if path.is_file():
            shutil.copy(path, copy)
        elif (path / "py.typed").exists():
            shutil.copytree(path, copy / path.name, ignore=shutil.ignore_patterns("__pycache__"))
    _pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", str(built), str(copy))
    venv = scratch / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    python = str(venv / "bin" / "python")
    [wheel] = built.glob("*.whl")
    _pip(python, "install", "--constraint", str(CHECKOUT / "constraints.txt"), str(wheel))
    [site] = venv.glob("lib/python*/site-packages")
    blocks = sum(path.lstat().st_blocks for path in venv.rglob("*") if path.is_file() and not path.is_symlink())
    return site, round(blocks * BLOCK / 1e6, 1)


def _pip(python: str, *words: str) -> None:
    quiet = ("--quiet", "--disable-pip-version-check")
    done = subprocess.run([python, "-I", "-m", "pip", *words, *quiet], capture_output=True, text=True)
    if done.returncode:
        raise ConfigError(f"pip {words[0]} failed: {done.stderr.strip()[-300:]}")


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the packages of this environment; installs nothing")
    parser.add_argument("--json", type=Path, dest="out", help="write the figures to this file")
    given = parser.parse_args()
    report = run(given.quick)
    for group, sizes in report["packages"].items():
        print(f"{group}: {report['mb'][group]:,.0f} MB" if group == "plain" else f"{group} adds:")
        for name, size in sizes.items():
            print(f"  {name:<28}{size:>8.1f}")
    if given.out:
        given.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
