"""`crane serve`: what it prints, how it ends, and whom it serves."""

from __future__ import annotations

import re
import signal
import socket
import sys
from typing import TYPE_CHECKING

import httpx2
import pytest
from gateway.harness import ROOT_PAGE, index_of
from gateway.upstream import Flood, Scripted

from crane_core.cache.settings import show_size
from crane_devserver import Fault, serve_in_thread

if TYPE_CHECKING:
    from gateway.serving import Operator
    from support.world import World

GIVEN_TO_END = 3.0


def test_a_single_index_is_served_by_name_and_at_simple_and_at_the_root(
    world: World, operator: Operator
) -> None:
    world.add_private("secret-lib")
    with operator.serve() as serve:
        printed = serve.out.wait_for("/python/simple/")
        pages = [serve.get(f"{at}/secret-lib/") for at in ("/python/simple", "/simple", "")]
        roots = [serve.get(at) for at in ("/python/simple/", "/simple/", "/")]
        redirected = serve.get("/simple/Secret.Lib")

    assert printed == f"{serve.address}/python/simple/  {world.index_url}"
    assert {page.text for page in pages} == {pages[0].text}
    assert "secret_lib-1.0-py3-none-any.whl" in pages[0].text
    assert all(">secret-lib</a>" in root.text for root in roots)
    assert (redirected.status_code, redirected.headers["location"]) == (301, "/simple/secret-lib/")


def test_several_indexes_are_served_by_name_only(world: World, operator: Operator) -> None:
    world.add_private("secret-lib")
    operator.register(index_of(world, name="second", fallback="none", scope="openid"))
    operator.home.login(index_of(world, name="second", fallback="none", scope="openid"))
    with operator.serve() as serve:
        pages = [serve.get(f"/{name}/simple/secret-lib/") for name in ("python", "second")]
        bare = serve.get("/simple/secret-lib/")

    assert [page.status_code for page in pages] == [200, 200]
    assert "/second/files/" in pages[1].text
    assert bare.status_code == 404
    assert "/python/simple/, /second/simple/" in bare.text


def test_only_the_indexes_that_are_named_are_served_by_name_or_url(
    world: World, operator: Operator
) -> None:
    operator.register(index_of(world, name="second", url=f"{world.crane_url}/second"))
    with operator.serve(f"{world.index_url}/simple/", "python") as serve:
        assert serve.get("/second/simple/").status_code == 404
        assert serve.get("/simple/").status_code == 200


def test_each_answer_is_a_line_on_standard_error_without_any_token(
    world: World, operator: Operator
) -> None:
    path = world.add_private("secret-lib")
    session = operator.home.session(index_of(world))
    assert session
    world.crane.faults.append(Fault("/python/broken-lib/", status=503))
    with operator.serve() as serve:
        serve.get("/simple/secret-lib/")
        serve.get(f"/python/files/python/secret-lib/{path.name}")
        serve.get("/simple/broken-lib/")
        served = serve.err.wait_for("page secret-lib")
        fetched = serve.err.wait_for(f"file {path.name}")
        failed = serve.err.wait_for("page broken-lib")
        serve.end()
        everything = serve.out.rest() + serve.err.rest()

    (one, two) = (re.fullmatch(r"(.*)  \[([0-9a-f]{10})\]", line) for line in (served, fetched))
    assert one
    assert two
    assert one[2] != two[2]
    assert one[1].endswith("from python")
    assert two[1].endswith(f"from python, {show_size(path.stat().st_size)}")
    assert "answered HTTP 503" in failed
    assert session.tokens.access_token.reveal() not in everything
    assert "Traceback" not in everything


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_ends_it_at_once_with_exit_code_0(operator: Operator, name: str) -> None:
    with operator.serve() as serve:
        serve.get("/-/health")
        code, seconds = serve.end(signal.Signals[name])
        said = serve.err.rest()
    assert (code, said) == (0, "")
    assert seconds < GIVEN_TO_END


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_three_seconds_while_a_slow_file_is_under_way(
    world: World, operator: Operator, number: int
) -> None:
    name = "slow-lib/slow_lib-1.0-py3-none-any.whl"
    with serve_in_thread(Scripted({f"/python/{name}": Flood()})) as upstream:
        index = index_of(world, name="slow", url=f"{upstream}/python")
        operator.register(index)
        operator.home.login(index)
        code, seconds, said = end_while_streaming(operator, name, signal.Signals(number))
    assert code == 0
    assert seconds < GIVEN_TO_END
    assert "Traceback" not in said


def end_while_streaming(
    operator: Operator, name: str, number: signal.Signals
) -> tuple[int, float, str]:
    """Send a signal with a download under way; return the exit code, the seconds, stderr."""
    with operator.serve("slow") as serve:
        url = f"{serve.address}/slow/files/python/{name}"
        with httpx2.stream("GET", url, trust_env=False, timeout=20) as answer:
            arriving = answer.iter_raw()
            assert next(arriving)
            code, seconds = serve.end(number)
            with pytest.raises(httpx2.HTTPError):
                sum(len(chunk) for chunk in arriving)
        return code, seconds, serve.err.rest()


class TestAPortThatIsTaken:
    """The text says by whom, since the remedy differs."""

    def run(self, operator: Operator, port: int) -> tuple[int, str]:
        done = operator.user.crane("serve", "--port", str(port))
        return done.returncode, done.stderr.strip()

    def test_by_crane(self, operator: Operator) -> None:
        with operator.serve() as serve:
            code, said = self.run(operator, serve.port)
        assert code == 24
        assert said.startswith(f"crane: crane serves on port {serve.port} already")

    def test_by_a_crane_that_asks_for_a_secret(self, operator: Operator) -> None:
        with operator.serve("--token") as serve:
            code, said = self.run(operator, serve.port)
        assert code == 24
        assert "crane serves on port" in said

    def test_by_another_web_server(self, operator: Operator) -> None:
        with serve_in_thread(Scripted()) as url:
            port = int(url.rsplit(":", 1)[1])
            code, said = self.run(operator, port)
        assert (code, said) == (
            24, f"crane: port {port} is taken; choose another one with --port"
        )  # fmt: skip

    def test_by_something_that_never_answers(self, operator: Operator) -> None:
        with socket.socket() as mute:
            mute.bind(("127.0.0.1", 0))
            mute.listen()
            port = mute.getsockname()[1]
            code, said = self.run(operator, port)
        assert code == 24
        assert f"port {port} is taken" in said


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("--host", "0.0.0.0"), 2, "0.0.0.0 can be reached from other machines; add --token"),
        (("--host", "::"), 2, "add --token"),
        (("--host", "192.0.2.1"), 2, "add --token"),
        (("--port", "70000"), 2, "70000 is no port"),
        (("--port", "-1"), 2, ""),
        (("--port", "x"), 2, ""),
        (("--port", "0", "--host", "192.0.2.1", "--token"), 24, "cannot listen on 192.0.2.1"),
        (("nosuch",), 5, 'Index not found: "nosuch"'),
    ],
)
def test_a_command_line_that_cannot_be_right_is_refused(
    operator: Operator, arguments: tuple[str, ...], code: int, text: str
) -> None:
    done = operator.user.crane("serve", *arguments)
    assert done.returncode == code, done.stderr
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_nobody_logged_in_and_nobody_there_is_said_before_anything_is_served(
    world: World, operator: Operator
) -> None:
    for file in operator.home.paths.sessions.glob("*.json"):
        file.unlink()
    done = operator.user.crane("serve", "--port", "0", CI="true")
    assert (done.returncode, done.stdout) == (4, "")
    assert "crane login python" in done.stderr


class TestWithToken:
    """The printed URL carries a secret; nobody without it is served."""

    def test_the_url_works_and_without_its_secret_everything_is_403(
        self, world: World, operator: Operator
    ) -> None:
        world.add_private("secret-lib")
        with operator.serve("--token") as serve:
            login, _, bare = serve.address.removeprefix("http://").partition("@")
            with_secret = serve.get("/simple/secret-lib/")
            without = httpx2.get(f"http://{bare}/simple/secret-lib/", trust_env=False)
            wrong = httpx2.get(f"http://crane:x@{bare}/simple/secret-lib/", trust_env=False)
            serve.end()
            logged = serve.err.rest()

        user, _, secret = login.partition(":")
        assert (user, len(secret) >= 43) == ("crane", True)
        assert with_secret.status_code == 200
        assert secret not in with_secret.text, "a page is cached and copied"
        assert (without.status_code, wrong.status_code) == (403, 403)
        assert "www-authenticate" not in without.headers
        assert secret not in logged

    def test_other_addresses_may_be_listened_on(self, world: World, operator: Operator) -> None:
        world.add_private("secret-lib")
        with operator.serve("--token", "--host", "0.0.0.0") as serve:
            login = serve.address.removeprefix("http://").partition("@")[0]
            url = f"http://{login}@127.0.0.1:{serve.port}/simple/secret-lib/"
            answer = httpx2.get(url, trust_env=False)
        assert answer.status_code == 200
        assert f"http://127.0.0.1:{serve.port}/python/files/" in answer.text

    def test_each_start_has_another_secret(self, operator: Operator) -> None:
        with operator.serve("--token") as one, operator.serve("--token") as other:
            secrets = {s.address.partition("@")[0] for s in (one, other)}
        assert len(secrets) == 2


def test_the_ip_version_6_address_of_this_machine_may_be_listened_on(
    world: World, operator: Operator
) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    world.add_private("secret-lib")
    with operator.serve("--host", "::1") as serve:
        answer = serve.get("/simple/secret-lib/")
    assert answer.status_code == 200
    assert f"http://[::1]:{serve.port}/python/files/" in answer.text


def test_a_login_that_has_ended_is_asked_for_again_without_a_restart(
    world: World, operator: Operator
) -> None:
    world.add_private("secret-lib")
    with operator.serve() as serve:
        assert serve.get("/simple/").status_code == 200
        world.realm.revoke_user("ada")
        world.crane.faults.append(Fault("/python/secret-lib/", status=401, times=1))
        answer = serve.get("/simple/secret-lib/")
        prompt = serve.err.wait_for("To log in to python")
        serve.err.wait_for("page secret-lib")

    assert answer.status_code == 200, answer.text
    assert "secret_lib-1.0-py3-none-any.whl" in answer.text
    assert len(prompt.split()[-1]) >= 8


def test_a_login_that_is_denied_is_an_error_with_a_reason_and_serving_goes_on(
    world: World, operator: Operator
) -> None:
    with operator.serve(TEST_DECISION="deny") as serve:
        world.realm.revoke_user("ada")
        world.crane.faults.append(Fault(ROOT_PAGE, status=401, times=1))
        denied = serve.get("/simple/secret-lib/")
        alive = serve.get("/-/health")
    assert denied.status_code == 403
    assert "the login was denied" in denied.text
    assert alive.status_code == 200
