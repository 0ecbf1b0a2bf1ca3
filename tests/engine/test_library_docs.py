"""The examples of docs/library.md run."""

import re
from pathlib import Path
from typing import Any

import pytest
from support.tree import ROOT

PAGE = (ROOT / "docs" / "library.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def test_every_example_runs_in_the_order_of_the_page(
    model_path: Path, ranker_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {"MODEL": str(model_path), "RANKER": str(ranker_path)}
    for example in EXAMPLES:
        exec(compile(example, "docs/library.md", "exec"), names)
    printed = capsys.readouterr().out
    assert len(EXAMPLES) == 7
    assert "tokens of context" in printed
    assert "tokens)" in printed
    assert "instead of" in printed
