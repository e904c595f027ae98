"""The lines that `up`, `down` and the like print and run are Ray's, of the file that is named."""

import shlex
from pathlib import Path

import pytest

from apps.deploy.ray_commands import RayCommand, down, on_head, up

ROOT = Path(__file__).parents[4]
ON_PREM = ROOT / "cluster" / "launch" / "on-prem.yaml"
AWS = ROOT / "cluster.yaml"


def test_machines_that_are_named_need_the_first_autoscaler() -> None:
    assert [str(each) for each in up(ON_PREM, True)] == [f"RAY_UP_enable_autoscaler_v2=0 ray up --yes {ON_PREM}"]
    assert [str(each) for each in up(AWS, True)] == [f"ray up --yes {AWS}"]


def test_a_first_start_makes_the_token() -> None:
    assert [str(each) for each in up(AWS, False)] == ["ray get-auth-token --generate", f"ray up --yes {AWS}"]


def test_workers_that_are_named_are_stopped_as_well() -> None:
    assert [str(each) for each in down(AWS)] == [f"ray down --yes {AWS}"]
    first, *others = [str(each) for each in down(ON_PREM)]
    assert first == f"ray down --yes {ON_PREM}"
    assert others == [
        f"ssh -i '~/.ssh/id_ed25519' ray@worker-{number}.example.net 'bash -lic \"ray stop\"'" for number in (1, 2)
    ]


@pytest.mark.parametrize("told", ["full", "it's; rm -rf ~", ""])
def test_what_is_passed_on_stays_one_word(told: str) -> None:
    command = on_head(AWS, f"pinfunnel logs --match {shlex.quote(told)}")
    line = shlex.split(str(command))[3]
    assert shlex.split(line.split("&& ")[1])[1:] == ["pinfunnel", "logs", "--match", told]


def test_the_program_beside_this_python_is_run() -> None:
    assert RayCommand(("up",)).argv[0].endswith("/bin/ray")
    assert RayCommand(("x",), program="no-such-program").argv == ["no-such-program", "x"]
