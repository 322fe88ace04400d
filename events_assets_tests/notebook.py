"""Prints docs/data.md as a notebook: its text, and a cell for each block of Python and of SQL."""

import json
import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent.parent / "docs" / "data.md"
CODE = re.compile(r"(?ms)^```(python|sql)\n(.*?)^```\n")
FROM_DOCS = """import os
from pathlib import Path

if Path.cwd().name == "docs":
    os.chdir("..")

"""
"""Notebooks start in their own folder, the page speaks of that of the project."""
LATER = re.compile("FROM (quarantined_events|daily_events)")
"""Tables that may not be there yet: their cells do not keep those below from being run."""


def notebook() -> dict[str, Any]:
    cells: list[dict[str, Any]] = []
    texts = CODE.split(PAGE.read_text(encoding="utf-8"))
    for text, kind, code in zip(texts[::3], [*texts[1::3], ""], [*texts[2::3], ""], strict=True):
        if text.strip():
            cells.append(_cell("markdown", text.strip()))
        if kind == "sql":
            cells.append(_cell("code", f'show("""\n{code}""")'))
        elif kind == "python":
            code = code if any(cell["cell_type"] == "code" for cell in cells) else FROM_DOCS + code
            cells.append(_cell("code", code.strip()))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
        if cell["cell_type"] == "code" and LATER.search("".join(cell["source"])):
            cell["metadata"]["tags"] = ["raises-exception"]
    python = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return {"cells": cells, "metadata": python, "nbformat": 4, "nbformat_minor": 5}


def _cell(kind: str, text: str) -> dict[str, Any]:
    cell = {"cell_type": kind, "metadata": {}, "source": text.splitlines(keepends=True)}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})


if __name__ == "__main__":
    print(json.dumps(notebook(), indent=1, ensure_ascii=False))
