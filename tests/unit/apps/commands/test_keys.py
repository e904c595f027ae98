"""`pinfunnel keys new`: the entry that it prints lets in the key that it prints."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from apps.cli import app
from cluster.settings.access import AccessSettings
from cluster.settings.clients import Client
from serving.http.auth import Authorizer


def new(*options: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["keys", "new", *options])
    return done.exit_code, done.output


def test_the_entry_lets_the_key_in(tmp_path: Path) -> None:
    status, said = new("--scope", "recommend", "--scope", "events", "--client", "homefeed", "--days", "30")
    assert status == 0
    key, _, rest = said.partition("\n")
    path = tmp_path / "keys.yaml"
    path.write_text(rest)
    assert key not in rest
    authorizer = Authorizer(AccessSettings(keys=str(path)), {"homefeed": Client(name="homefeed")})
    assert authorizer.admit("recommend", "homefeed", key.encode()).clients == ("homefeed",)
    assert authorizer.admit("events", None, key.encode()).may_name("homefeed")


def test_two_keys_differ() -> None:
    assert new("--scope", "admin")[1].splitlines()[0] != new("--scope", "admin")[1].splitlines()[0]


@pytest.mark.parametrize("options", [("--scope", "root"), ("--scope", "admin", "--name", "a b")])
def test_what_no_file_could_hold_is_refused(options: tuple[str, ...]) -> None:
    status, said = new(*options)
    assert (status, "error: keys new: keys.0." in said) == (1, True)
