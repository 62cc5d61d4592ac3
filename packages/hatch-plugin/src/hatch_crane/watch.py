"""Waits for Hatch to load the module beside which the route stands. `hatch_crane.pth` imports us.

Hatch looks for plugins only where a project names one, and nobody should have to name us. So this
module runs at the start of every Python of this environment: it must stay as small as it is.
"""

from __future__ import annotations

import sys

# As `typing` has it, which would take milliseconds to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

# Who stands beside which module of Hatch.
WAITING = {"hatch.utils.platform": "stand_beside_installers"}


class Watch:
    """A finder (PEP 451) that finds nothing of its own."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Let a module of Hatch be found as ever, and hear of it once it is loaded."""
        step = WAITING.pop(name, None)
        if step is None:
            return None
        from importlib.util import find_spec

        if not WAITING:
            sys.meta_path.remove(Watch)
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def exec_module(module: object) -> None:
                load(module)  # type: ignore[arg-type]
                tell(step, module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def tell(step: str, module: object) -> None:
    """Set up what stands beside a module; Hatch goes on whatever happens."""
    try:
        from hatch_crane import hatch_internals

        getattr(hatch_internals, step)(module)
    except Exception as error:  # noqa: BLE001
        line = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"crane could not be set up, Hatch goes on: {line}", file=sys.stderr)  # noqa: T201


def catch_up() -> None:
    """Set up what Hatch has loaded before us: it has just installed us (`tool.hatch.env`)."""
    for name in list(WAITING):
        if name in sys.modules:
            tell(WAITING.pop(name), sys.modules[name])


def is_hatch() -> bool:
    """Whether the program is Hatch: its script, or `python -m hatch`."""
    # sys.argv is not there yet.
    words = getattr(sys, "orig_argv", [])[1:]
    names = (word.replace("\\", "/").rpartition("/")[2] for word in words)
    return any(name.startswith("hatch") for name in names)


if is_hatch():
    sys.meta_path.insert(0, Watch)
