"""Who sees the console: sessions of admin keys alone, whatever is sent in their stead."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.web.app import console_app
from apps.web.secret import FILE, read_secret
from apps.web.session import COOKIE, SECONDS, Sessions
from cluster.errors import ConfigError
from tests.worlds.console import ConsoleSite, console_site, sign_in

VIEWS = ("/console/", "/console/funnel", "/console/health", "/console/logs")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleSite]:
    with console_site(tmp_path_factory.mktemp("site"), models=False) as made:
        yield made


@pytest.mark.parametrize("path", VIEWS)
@pytest.mark.parametrize("cookie", ["", "x", "..", "a.9999999999.b", "é"])
def test_without_a_session_every_view_leads_to_the_login(site: ConsoleSite, path: str, cookie: str) -> None:
    headers = {"cookie": f"{COOKIE}={cookie}".encode()} if cookie else {}
    answer = site.browser().get(path, headers=headers)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/console/login"


def test_a_part_that_htmx_asks_for_sends_the_whole_page_to_the_login(site: ConsoleSite) -> None:
    answer = site.browser().get("/console/health", headers={"hx-request": "true"})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/console/login")


def test_an_admin_key_opens_a_session_that_scripts_and_other_sites_cannot_use(site: ConsoleSite) -> None:
    browser = site.browser()
    answer = sign_in(browser, site.keys["admin"])
    cookie = answer.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Path=/console", f"Max-Age={SECONDS}"))
    assert "Secure" not in cookie
    assert site.keys["admin"] not in cookie
    assert browser.get("/console/health").status_code == 200
    assert browser.get("/v1/models").status_code == 401, "the API takes keys, no cookies"


def test_behind_tls_the_cookie_is_for_tls_alone(site: ConsoleSite) -> None:
    form = {"data": {"key": site.keys["admin"]}}
    answer = site.browser().post(
        "/console/login", headers={"origin": "https://testserver", "x-forwarded-proto": "https"}, **form
    )
    assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize(("key", "status"), [("events", 403), ("none", 401), ("", 401)])
def test_other_keys_open_none(site: ConsoleSite, key: str, status: int) -> None:
    answer = sign_in(site.browser(), site.keys.get(key, key))
    assert answer.status_code == status
    assert "set-cookie" not in answer.headers
    assert 'role="alert"' in answer.text


def test_after_many_wrong_keys_one_has_to_wait(tmp_path: Path) -> None:
    with console_site(tmp_path, models=False) as site:
        browser = site.browser()
        statuses = [sign_in(browser, f"wrong {n}").status_code for n in range(15)]
        assert statuses[:8] == [401] * 8
        assert statuses[-1] == 429
        assert sign_in(browser, site.keys["admin"]).status_code == 429


@pytest.mark.parametrize(
    "origin", [None, "null", "http://elsewhere", "http://testserver.elsewhere", "http://testserver:81"]
)
def test_posts_of_other_pages_are_refused(site: ConsoleSite, origin: str | None) -> None:
    assert sign_in(site.browser(), site.keys["admin"], origin).status_code == 403


def test_a_key_that_is_taken_back_ends_its_sessions(site: ConsoleSite) -> None:
    key = site.files.add("leaves", "admin")
    site_keyring(site)
    browser = site.browser()
    assert sign_in(browser, key).status_code == 303
    assert browser.get("/console/health").status_code == 200
    site.files.remove("leaves")
    site_keyring(site)
    assert browser.get("/console/health").status_code == 303


def site_keyring(site: ConsoleSite) -> None:
    """Have the server read the file now."""
    mount = next(route for route in site.app.routes if getattr(route, "path", "") == "/console")
    mount.app._authorizer.keys.read_again()  # type: ignore[attr-defined]


def test_signing_out_makes_the_browser_forget(site: ConsoleSite) -> None:
    browser = site.signed_in()
    answer = browser.post("/console/logout", headers={"origin": "http://testserver"})
    assert answer.status_code == 303
    assert browser.get("/console/health").status_code == 303


@pytest.mark.parametrize("path", ["/console/login", "/console/static/console.css", "/console/none", "/console/funnel"])
def test_every_answer_says_what_pages_may_do(site: ConsoleSite, path: str) -> None:
    headers = site.signed_in().get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


def test_where_the_secret_cannot_be_kept_the_api_serves_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with console_site(tmp_path, models=False) as site:
        assert site.signed_in().get("/console/health").status_code == 200
        first = site.inside
    (Path(first.project.home) / "control" / FILE).write_bytes(b"short")
    console_app(site.process, first)
    assert "console.secret: not 32 bytes: remove it" in caplog.text


def test_without_keys_nobody_signs_in(tmp_path: Path) -> None:
    with console_site(tmp_path, models=False, keys=False) as site:
        browser = site.browser()
        assert browser.get("/console/health").status_code == 200
        assert browser.get("/console/login").headers["location"] == "/console/funnel"


def test_a_session_says_which_key_until_it_ends() -> None:
    now = [1_000.0]
    sessions = Sessions(b"s" * 32, lambda: now[0])
    made = sessions.made("ab" * 32)
    assert sessions.key_of(made) == "ab" * 32
    assert Sessions(b"s" * 32, lambda: now[0]).key_of(made) == "ab" * 32, "any replica reads it"
    assert Sessions(b"t" * 32, lambda: now[0]).key_of(made) is None
    key, until, signed = made.split(".")
    assert sessions.key_of(f"{'cd' * 32}.{until}.{signed}") is None
    assert sessions.key_of(f"{key}.{int(until) + 1}.{signed}") is None
    now[0] += SECONDS
    assert sessions.key_of(made) is None


def test_the_secret_is_made_once_and_is_the_servers_alone(tmp_path: Path) -> None:
    first = read_secret(tmp_path / "control")
    assert read_secret(tmp_path / "control") == first
    assert len(first) == 32
    assert (tmp_path / "control" / FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "control").iterdir()] == [FILE]
    (tmp_path / "control" / FILE).write_bytes(b"short")
    with pytest.raises(ConfigError, match=r"console\.secret: not 32 bytes: remove it"):
        read_secret(tmp_path / "control")
