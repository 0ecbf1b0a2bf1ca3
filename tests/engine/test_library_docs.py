"""The examples of docs/library.md run."""

import re
from pathlib import Path
from typing import Any

import pytest
from support.adapter_files import write_adapter
from support.tree import ROOT

PAGE = (ROOT / "docs" / "library.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def test_every_example_runs_in_the_order_of_the_page(
    model_path: Path, ranker_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adapter = write_adapter(tmp_path / "adapter.gguf", model_path, seed=1)
    names: dict[str, Any] = {
        "MODEL": str(model_path),
        "RANKER": str(ranker_path),
        "ADAPTER": str(adapter),
    }
    for example in EXAMPLES:
        exec(compile(example, "docs/library.md", "exec"), names)
    printed = capsys.readouterr().out
    assert len(EXAMPLES) == 8
    assert "tokens of context" in printed
    assert "tokens)" in printed
    assert "instead of" in printed
