"""The environment variables of crane's own, in the words of their documentation.

The reference in docs/reference/configuration.md is made from this; a test holds it to the code.
"""

from __future__ import annotations

from typing import NamedTuple


class Variable(NamedTuple):
    """Variables that mean one thing together. A name may end with what stands for its rest."""

    names: tuple[str, ...]
    meaning: str
    for_people: bool = True


VARIABLES = (
    Variable(
        ("CRANE_TOKEN_<NAME>",),
        "a ready access token for the index of that name, in capitals, other characters as `_`",
    ),
    Variable(("CRANE_CLIENT_SECRET_<NAME>",), "the client secret for that index"),
    Variable(
        ("CRANE_ID_TOKEN", "CRANE_ID_TOKEN_FILE"),
        "a job's identity token (GitLab `id_tokens`), or the file it is in",
    ),
    Variable(
        ("CRANE_DETECTORS_OFF",),
        "identity sources not to ask: `file`, `github`, `gitlab`, `buildkite`, `circleci`, "
        "`azure-pipelines`, `azure`, `google`, or `all`",
    ),
    Variable(("CRANE_VAULT",), "where logins are kept: `file`, `keyring` or `memory`"),
    Variable(
        ("CRANE_CACHE_SIZE",),
        "how large the cache may grow, as `5GB`; `0` for no cache; 10 GB if not set",
    ),
    Variable(
        ("CRANE_STALE_LIMIT",),
        "how long an index that cannot be reached is answered for from before, as `12h`; "
        "7 days if not set; an index's `stale-limit` comes before it",
    ),
    Variable(("CRANE_OFFLINE",), "`1`: answer from the cache only"),
    Variable(("CRANE_PREFETCH",), "`off`: fetch nothing ahead of the tool"),
    Variable(
        ("CRANE_AGENT_IDLE",),
        "seconds after which an agent leaves that nobody needs; 900 if not set",
    ),
    Variable(("CRANE_NON_INTERACTIVE",), "nobody can log in here; as `CI`"),
    Variable(("CRANE_HOME",), "one folder for all of the files above"),
    Variable(
        ("CRANE_VIEW", "CRANE_CHANGED", "CRANE_ORIGINAL_*"),
        "set by `crane run` and `crane env` for crane itself",
        for_people=False,
    ),
    Variable(("CRANE_AGENT_KEY",), "given to an agent by who starts it", for_people=False),
)
