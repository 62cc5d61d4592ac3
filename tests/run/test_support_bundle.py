"""`crane support-bundle`: what helps is in it, and no secret, wherever one has been put."""

from __future__ import annotations

import base64
import json
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import quote

from run.kit import Machine, says
from support.world import CRANE

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJwcmVmZXJyZWRfdXNlcm5hbWUiOiJncmFjZSJ9.c2lnbmVk"
PEM = "-----BEGIN PRIVATE KEY-----\nMIIplantedkey\nMIIplantedend\n-----END PRIVATE KEY-----"
ASK = "import sys, urllib.request as u; u.urlopen(sys.argv[1])"
# Each is planted in the place that it names.
VARIABLES = {
    "CRANE_TOKEN_OTHER": "planted-token-variable",
    "CRANE_CLIENT_SECRET_OTHER": "planted-client-secret-variable",
    "PIP_INDEX_URL": "https://planteduser:planted-pip-password@h.test/simple?t=planted-pip-query",
    "UV_PUBLISH_TOKEN": "planted-uv-token",
    "POETRY_HTTP_BASIC_FIRM_PASSWORD": "planted-poetry-password",
    "KEYRING_PROPERTY_NAME": "planted-keyring-name",
    "PIP_UNKNOWN": "planted-pip-variable",
    "PIP_PROXY": "planteduser2:planted/proxy@proxy.test:3128",
    "MY_PRIVATE_THING": "planted-of-no-concern",
    "LOGNAME": "planted-logname",
}
FILES = {
    ".config/pip/pip.conf": "[global]\nindex-url = https://u:planted-pip-conf@h.test/simple\n",
    ".netrc": "machine h.test login u password planted-netrc\n",
    ".pypirc": "[pypi]\npassword = planted-pypirc\n",
    "pyproject.toml": '[tool.crane]\nindex = "https://u:planted-pyproject@h.test/"\n',
}
LOG = [
    "Traceback (most recent call last):",
    "  Authorization: Bearer planted-log-bearer",
    f"ValueError: {JWT} at https://h.test/f?X-Signature=planted-log-query#planted-fragment",
    PEM,
    json.dumps({"kind": "page", "problem": 'it said "password": "planted-log-json"'}),
    json.dumps({"kind": "page", "client_secret": "planted-log-field", "what": "kept-lib"}),
    "the agent was asked for planted-token-variable by planted-logname",
]


def contents(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


def spellings(secret: str) -> set[str]:
    return {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode()}


def stored(ada: Machine) -> set[str]:
    """Return the tokens in the vault."""
    texts = [path.read_text() for path in ada.user.sessions.glob("*")]
    (tokens,) = (json.loads(text)["tokens"] for text in texts if text.startswith("{"))
    return {tokens["access_token"], tokens["refresh_token"]}


def plant(ada: Machine) -> set[str]:
    """Put secrets everywhere, and return them."""
    home, url = ada.user.home, ada.site.index_url
    other = ("--client-id", "x", "--issuer", ada.site.realm.issuer, "--yes", "--name", "other")
    ada.user.crane("index", "register", f"{ada.site.crane_url}/other", *other, check=True)
    ada.user.crane("index", "set", "other", "--account", "planted-account", check=True)
    with subprocess.Popen(
        [CRANE, "index", "secret", "python"], env=ada.user.environ, stdin=subprocess.PIPE, text=True
    ) as process:
        process.communicate("planted-client-secret-in-vault\n")
    config = ada.user.config_file
    config.write_text(f"# planted-config-comment\n{config.read_text()}")
    for name, text in FILES.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    # The agent writes a line of its own, and we write many.
    done = ada.run(sys.executable, "-c", ASK, f"{url}/no_lib-1.0-py3-none-any.whl")
    assert "HTTP Error 404" in done.stderr, says(done)
    (log,) = ada.paths.logs.glob("agent-*.log")
    tokens = stored(ada)
    assert len(tokens) == 2
    log.write_text("\n".join([log.read_text(), *LOG, *tokens, ""]))
    planted = {JWT, "MIIplantedkey", "MIIplantedend", "lovelace", "planted", *tokens}
    return planted | {signature for token in tokens if (signature := token.rpartition(".")[2])}


def test_no_secret_is_in_it_wherever_it_was_and_what_helps_is(ada: Machine) -> None:
    planted = plant(ada)
    asked = len(ada.site.crane.requests)

    done = ada.user.crane("support-bundle", **VARIABLES)

    assert done.returncode == 0, says(done)
    (path,) = ada.user.home.glob("crane-support-*.zip")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    files = contents(path)
    everything = "\n".join([*files, *files.values(), done.stdout, done.stderr])
    found = [s for secret in planted for s in spellings(secret) if s in everything]
    assert not found, [line for line in everything.splitlines() for s in found if s in line]
    assert "ada" not in everything.replace("metadata", ""), "who is logged in"
    assert str(ada.user.home) not in everything

    # It says what it is, and what is in it.
    assert path.name in done.stdout
    assert all(name.removeprefix("crane-support/") in done.stdout for name in files)
    assert "Look at it before you send it." in done.stdout
    # And it helps.
    read = {name.removeprefix("crane-support/"): text for name, text in files.items()}
    (log,) = (text for name, text in read.items() if name.startswith("logs/"))
    first = json.loads(log.splitlines()[0])
    assert first["what"] == "no_lib-1.0-py3-none-any.whl"
    assert len(first["request"]) == 10
    assert '"kept-lib"' in log
    assert "Traceback" in log
    configured = json.loads(read["configuration.json"])
    assert [index["url"] for index in configured["indexes"]] == [
        ada.site.index_url, f"{ada.site.crane_url}/other",
    ]  # fmt: skip
    assert "renewed" in configured["indexes"][0]["login"]
    assert json.loads(read["versions.json"])["distributions"]["aiohttp"]
    variables = json.loads(read["environment.json"])
    assert variables["values"]["HTTPS_PROXY"].startswith("http://***@127.0.0.1:")
    assert variables["values"]["PIP_INDEX_URL"] == "https://***@h.test/simple?***"
    assert {"CRANE_TOKEN_OTHER", "UV_PUBLISH_TOKEN", "PIP_UNKNOWN"} <= set(variables["set"])
    assert "MY_PRIVATE_THING" not in everything
    assert "✓ with the token: the index lists" in read["doctor.txt"]
    assert json.loads(read["cache.json"])["limit"]
    assert len(ada.site.crane.requests) > asked


def test_it_overwrites_nothing_asks_nobody_if_told_so_and_is_made_of_what_is_broken(
    ada: Machine,
) -> None:
    home = ada.user.home
    mine, link = home / "mine.zip", home / "link.zip"
    mine.write_text("mine")
    link.symlink_to(home / "not-there.zip")
    for path in (mine, link):
        done = ada.user.crane("support-bundle", "--output", str(path), "--no-network")
        assert done.returncode == 8, says(done)
        assert "is there already; name another file with --output" in done.stderr
    assert mine.read_text() == "mine"
    assert not (home / "not-there.zip").exists()

    asked, provider = len(ada.site.crane.requests), len(ada.site.realm.requests())
    ada.user.config_file.write_text("[index.python\nurl = 'planted'")
    out = home / "out.zip"
    done = ada.user.crane("support-bundle", "--output", str(out), "--no-network", "--json")

    assert done.returncode == 0, says(done)
    files = contents(out)
    assert "config.toml" in files["crane-support/configuration.json"]
    assert "indexes were not asked (--no-network)" in files["crane-support/doctor.txt"]
    said = json.loads(done.stdout)["data"]
    assert said["file"] == str(out)
    assert {f"crane-support/{entry['name']}" for entry in said["contents"]} == set(files)
    assert len(ada.site.crane.requests) == asked
    assert len(ada.site.realm.requests()) == provider
