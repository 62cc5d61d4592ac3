"""What an agent has in memory before an upgrade takes its files away."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import crane_core
from crane_core.agent.preload import LIBRARIES, OTHERS

ROOT = Path(crane_core.__file__).parent


def imported_in_functions(path: Path) -> set[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = set()
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for node in ast.walk(function) if isinstance(function, functions) else ():
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module or "")
    return found


def test_every_library_that_a_function_imports_is_among_them() -> None:
    """At the top of a module they come with our own."""
    ours = [p for p in ROOT.rglob("*.py") if p.relative_to(ROOT).parts[0] not in OTHERS]
    wanted = set().union(*map(imported_in_functions, ours))
    stdlib = sys.stdlib_module_names | {"crane_core"}
    libraries = {name for name in wanted if name.partition(".")[0] not in stdlib}
    # A module brings the packages that it is in, and these bring what is below them.
    tops = {name.partition(".")[0] for name in LIBRARIES}
    assert {name.partition(".")[0] for name in libraries} <= tops | AT_ONCE


# Imported before an agent says that it is ready.
AT_ONCE = {"platformdirs", "uvicorn", "uvloop", "httpx2", "truststore", "cryptography"}
