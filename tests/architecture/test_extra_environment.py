"""The environment of the extra `xgboost-ray` lists every package that the code it runs imports."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Run with the names of the packages the environment holds: every other installed one is hidden, then the modules that
# tests/extra imports are imported. xgboost_ray itself is not installed here, and nothing imports it before it fits.
IMPORT_WITH_ONLY = """
import importlib.metadata, re, sys
plain = lambda name: re.sub("[-_.]+", "-", name).lower()
listed = {plain(name) for name in sys.argv[1:]}
hidden = {
    module for module, owners in importlib.metadata.packages_distributions().items()
    if not any(plain(owner) in listed for owner in owners)
}

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}: the environment of the extra lacks it", name=name)

sys.meta_path.insert(0, Hide())
import cluster.settings.project, tests.worlds.logs, tests.worlds.training, training.lightweight.fit
import tests.extra.models_of_both
"""


def import_with_only(names: list[str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", IMPORT_WITH_ONLY, *names]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_the_extra_lists_every_package_its_code_imports() -> None:
    lines = (ROOT / "constraints-xgboost-ray.txt").read_text().splitlines()
    names = [line.split("==")[0] for line in lines if line and not line.startswith("#")]
    names += ["pinfunnel", "xgboost-cpu"]  # here the module xgboost comes from another distribution
    ran = import_with_only(names)
    assert ran.returncode == 0, ran.stderr
    lacking = import_with_only([name for name in names if name != "numba"])
    assert lacking.returncode != 0, "hiding a package must be seen, or this test sees nothing"
    assert "numba" in lacking.stderr
