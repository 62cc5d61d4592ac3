"""Build the documentation's site: `python3 dev.py docs` writes it to site/.

A link to a page, a file or a heading that is not there ends it, and so does a page that no list of
contents leads to. With `--check` the tables that are made from the code are compared with the
pages, not written into them.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from devtasks import mirror, reference

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs"
COMMANDS = PAGES / "reference" / "commands.md"  # git does not know it
SITE = ROOT / "site"


def main() -> int:
    """Make what the code says of itself, then the site."""
    options = argparse.ArgumentParser(prog="dev.py docs", description=__doc__)
    options.add_argument("--check", action="store_true", help="change no page")
    options.add_argument("--out", type=Path, default=SITE, help="site/ if left out")
    args = options.parse_args()
    stale = refresh(write=not args.check)
    if stale and args.check:
        print(f"not as the code has it: {', '.join(stale)}; run: python3 dev.py docs")
        return 1
    write_commands()
    mirror.write()
    return site(args.out)


def refresh(*, write: bool) -> list[str]:
    """Return which pages have tables that are not as the code has them, and write them anew."""
    stale = []
    for page in sorted(PAGES.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        if (wanted := reference.fill(text)) != text:
            stale.append(str(page.relative_to(ROOT)))
            if write:
                page.write_text(wanted, encoding="utf-8", newline="\n")
    return stale


def write_commands() -> None:
    """Write the page of commands; not if it is as it was, so that nothing is built again."""
    # argparse breaks lines at the terminal's width.
    os.environ["COLUMNS"] = str(reference.COLUMNS)
    os.environ["NO_COLOR"] = "1"
    text = reference.commands()
    if not COMMANDS.exists() or COMMANDS.read_text(encoding="utf-8") != text:
        COMMANDS.write_text(text, encoding="utf-8", newline="\n")


def site(out: Path) -> int:
    """Run Sphinx; each of its warnings is an error. Return its exit code."""
    from sphinx.cmd.build import build_main

    configuration, state = Path(__file__).parent / "site", ROOT / ".cache" / "site"
    strict = ("--fail-on-warning", "--nitpicky", "--quiet")
    code = build_main([
        *strict, "--conf-dir", str(configuration), "--doctree-dir", str(state), str(PAGES), str(out)
    ])  # fmt: skip
    if code == 0:
        print(f"{out / 'index.html'}")
    return code


if __name__ == "__main__":
    sys.exit(main())
