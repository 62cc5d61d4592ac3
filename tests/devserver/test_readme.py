"""The example in the README works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).parents[2] / "packages" / "devserver" / "README.md"


def test_first_example(tmp_path):
    example = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)[1]
    names = {}
    exec(compile(example, str(README), "exec"), names)
    names["test_private_page"](tmp_path)
