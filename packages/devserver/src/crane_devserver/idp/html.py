"""The provider's pages: plain forms that work on a phone and with a screen reader."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

_STYLE = """
body{font:1.1rem/1.5 system-ui,sans-serif;max-width:26rem;margin:2rem auto;padding:0 1rem;
color:#1b1b1b;background:#fff}
label{display:block;margin:1rem 0 .2rem}
input{font:inherit;width:100%;box-sizing:border-box;padding:.6rem;border:1px solid #555;
border-radius:.3rem}
button{font:inherit;padding:.7rem 1.2rem;margin:1.2rem .6rem 0 0;border-radius:.3rem;
border:2px solid #14532d;background:#14532d;color:#fff}
button.deny{background:#fff;color:#7f1d1d;border-color:#7f1d1d}
.code{font:700 1.6rem/1.2 ui-monospace,monospace;letter-spacing:.1em}
[role=alert]{border-left:.3rem solid #7f1d1d;padding:.4rem .8rem}
"""

_FRAME = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""

_APPROVAL = """{alert}
<p><strong>{client}</strong> asks to act for you{scope}.</p>
{code}
<form method="post" action="{action}">
<input type="hidden" name="csrf" value="{csrf}">
{hidden}
<label for="username">User name</label>
<input id="username" name="username" value="{username}" autocomplete="username"
 autocapitalize="none" spellcheck="false">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password">
<button name="decision" value="approve">Approve</button>
<button name="decision" value="deny" class="deny">Deny</button>
</form>
"""

_CODE_ENTRY = """{alert}
<form method="get" action="{action}">
<label for="user_code">The code shown by your terminal</label>
<input id="user_code" name="user_code" autocomplete="off" autocapitalize="characters"
 spellcheck="false" required>
<button>Continue</button>
</form>
"""

_SHOWN_CODE = """<p>Go on only if your terminal shows this code:</p>
<p class="code">{code}</p>"""


@dataclass(frozen=True)
class Approval:
    """What the approval form shows and sends."""

    action: str
    client: str
    scope: str
    csrf: str
    user_code: str | None = None
    username: str = ""
    problem: str = ""


def approval_page(form: Approval) -> str:
    """Write the form to sign in and decide."""
    scope = f" ({escape(form.scope)})" if form.scope else ""
    code = hidden = ""
    if form.user_code is not None:
        code = _SHOWN_CODE.format(code=escape(form.user_code))
        hidden = f'<input type="hidden" name="user_code" value="{escape(form.user_code)}">'
    body = _APPROVAL.format(
        alert=_alert(form.problem),
        client=escape(form.client),
        scope=scope,
        code=code,
        action=escape(form.action),
        csrf=escape(form.csrf),
        hidden=hidden,
        username=escape(form.username),
    )
    return _page("Sign in", body)


def code_page(action: str, problem: str = "") -> str:
    """Write the form to type a user code into."""
    body = _CODE_ENTRY.format(alert=_alert(problem), action=escape(action))
    return _page("Connect a device", body)


def message_page(title: str, text: str) -> str:
    """Write a page that says one thing."""
    return _page(title, f"<p>{escape(text)}</p>")


def _alert(problem: str) -> str:
    return f'<p role="alert">{escape(problem)}</p>' if problem else ""


def _page(title: str, body: str) -> str:
    return _FRAME.format(title=escape(title), style=_STYLE, body=body)
