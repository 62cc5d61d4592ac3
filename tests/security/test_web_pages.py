"""An attacker's page in the user's own browser, while `crane serve` and an agent are running."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from browser.chromium import Missing, running_chromium
from gateway.upstream import Scripted, whole
from support.pips import agents, index_of, log_in, register
from support.serving import Served, serving
from support.world import User, World

from crane_devserver.running import serve_in_thread

if TYPE_CHECKING:
    from idp.oidc import Realm
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.xdist_group("chromium"),
    pytest.mark.timeout(func_only=True),
]
EVIL = "evil.test"
# Each tries to read, or to change something; what comes back is what the page has learnt.
ATTEMPTS = """async (base) => {
  const learnt = {}
  const attempt = async (name, work) => {
    try { learnt[name] = String(await work()) } catch (error) { learnt[name] = 'nothing' }
  }
  const text = async (answer) => `${answer.type} ${answer.status} ${await answer.text()}`
  const form = new FormData()
  form.append(':action', 'file_upload')
  form.append('name', 'firm-lib')
  form.append('version', '6.6')
  form.append('content', new File(['x'], 'firm_lib-6.6-py3-none-any.whl'))
  const page = `${base}/python/simple/firm-lib/`
  for (const mode of ['cors', 'no-cors']) {
    await attempt(`get ${mode}`, async () => text(await fetch(page, {mode})))
    await attempt(`get ${mode} with login`, async () =>
      text(await fetch(page, {mode, credentials: 'include', referrerPolicy: 'no-referrer'})))
    for (const path of ['/python/legacy/', '/legacy/', '/-/agent/stop', '/-/agent/views'])
      await attempt(`post ${mode} ${path}`, async () =>
        text(await fetch(base + path, {mode, method: 'POST', body: form})))
  }
  await attempt('preflight', async () => text(await fetch(page, {headers: {'x-a': 'b'}})))
  for (const method of ['PUT', 'DELETE'])
    await attempt(method, async () => text(await fetch(page, {method})))
  await attempt('json', async () => text(await fetch(`${base}/-/agent/views`,
    {method: 'POST', headers: {'content-type': 'application/json'}, body: '{"wish": {}}'})))
  for (const path of ['/-/', '/-/health', '/-/metrics', '/-/agent/hello?nonce=0123456789abcdef'])
    await attempt(path, async () => text(await fetch(base + path)))
  await attempt('socket', () => new Promise((done, fail) => {
    const socket = new WebSocket(base.replace('http', 'ws') + '/python/simple/firm-lib/')
    socket.onopen = () => done('open')
    socket.onerror = fail
  }))
  await attempt('stream', () => new Promise((done, fail) => {
    const stream = new EventSource(page)
    stream.onopen = () => done('open')
    stream.onerror = () => { stream.close(); fail() }
  }))
  for (const kind of ['img', 'script', 'iframe', 'video', 'object'])
    await attempt(kind, () => new Promise((done, fail) => {
      const element = document.createElement(kind)
      element.onload = () => done(kind === 'iframe' || kind === 'object' ?
        (element.contentDocument?.body?.innerText ?? 'nothing') : 'loaded')
      element.onerror = fail
      element[kind === 'object' ? 'data' : 'src'] = page
      document.body.append(element)
      setTimeout(fail, 3000)
    }))
  return learnt
}"""
POST = """(url) => {
  const form = Object.assign(document.createElement('form'),
    {method: 'POST', action: url, enctype: 'multipart/form-data'})
  form.innerHTML = '<input name=":action" value="file_upload"><input name="name" value="firm-lib">'
  document.body.append(form)
  form.submit()
}"""


@pytest.fixture(scope="module")
def rebinding() -> Iterator[Browser]:
    """Give a browser for which the attacker's name is this machine, as after a rebinding."""
    try:
        with running_chromium(f"--host-resolver-rules=MAP {EVIL} 127.0.0.1") as browser:
            yield browser
    except Missing as reason:
        pytest.skip(str(reason))


@dataclass
class Prey:
    """What is running."""

    world: World
    served: Served
    agent: str
    evil: str

    def asked(self) -> list[str]:
        return [r.path for r in self.world.crane.requests if "firm-lib" in r.path]

    def uploads(self) -> list[str]:
        return [r.path for r in self.world.crane.requests if r.method == "POST"]


@pytest.fixture
def prey(world: World, user: User, realm: Realm) -> Iterator[Prey]:
    """Give `crane serve`, an agent, and the attacker's own server, which is at another port."""
    world.add_private("firm-lib")
    register(user, index_of(world))
    log_in(user, realm, index_of(world))
    page = Scripted({"/": whole(200, b"<!DOCTYPE html><title>evil</title><body>")})
    with serving(user) as served, serve_in_thread(page) as evil:
        user.crane("run", "true", check=True)
        (agent,) = agents(user)
        yield Prey(world, served, f"http://127.0.0.1:{agent.port}", evil)


def attack(page: Page, base: str) -> dict[str, str]:
    learnt: dict[str, str] = page.evaluate(ATTEMPTS, base)
    assert len(learnt) > 20
    return learnt


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", EVIL])
def test_a_page_of_another_site(rebinding: Browser, prey: Prey, host: str) -> None:
    """Also one of this machine: another port is another origin, and it may be anybody's."""
    context = rebinding.new_context()
    page = context.new_page()
    page.goto(f"http://{host}:{urlsplit(prey.evil).port}/")
    for base in (prey.served.url, prey.served.url.replace("127.0.0.1", "localhost"), prey.agent):
        for name, seen in attack(page, base).items():
            # The browser shows an opaque answer as empty: the page does not learn its status.
            assert seen in {"nothing", "opaque 0 ", ""}, (base, name, seen)
    for path in ("/python/legacy/", "/legacy/", "/-/agent/stop"):
        for base in (prey.served.url, prey.agent):
            page.goto(f"http://{host}:{urlsplit(prey.evil).port}/")
            with page.expect_navigation() as navigation:
                page.evaluate(POST, base + path)
            assert navigation.value.status in {403, 404, 405}
    assert (prey.asked(), prey.uploads()) == ([], [])
    context.close()


def test_a_name_that_has_been_rebound(rebinding: Browser, prey: Prey) -> None:
    """The page is of crane's own origin then, as far as the browser knows."""
    context = rebinding.new_context()
    page = context.new_page()
    for base in (prey.served.url, prey.agent):
        rebound = f"http://{EVIL}:{urlsplit(base).port}"
        answer = page.goto(f"{rebound}/-/")
        assert answer is not None
        assert answer.status == 421
        for name, seen in attack(page, rebound).items():
            # It may read the refusal, which says no more than that crane listens here.
            told = seen.removeprefix("basic ")
            refused = told.startswith(("421 ", "405 ", "403 ", "crane: this Host", "nothing"))
            assert refused or not told, (name, seen)
            assert "firm_lib" not in seen
    assert (prey.asked(), prey.uploads()) == ([], [])
    # The control: who types the address is served.
    answer = page.goto(f"{prey.served.url}/python/simple/firm-lib/")
    assert answer is not None
    assert answer.status == 200
    assert prey.asked()
    context.close()
