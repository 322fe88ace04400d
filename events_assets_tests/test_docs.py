"""The documents say what is so."""

import re

from events_assets_tests.conftest import ROOT


def test_each_test_named_in_the_table_of_faults_exists():
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "faults.md").read_text()))
    tests = "\n".join(path.read_text() for path in (ROOT / "events_assets_tests").glob("test_*.py"))
    assert named and not {name for name in named if f"def {name}(" not in tests}


def test_the_readme_names_only_what_exists():
    text = (ROOT / "README.md").read_text()
    targets = set((ROOT / "Makefile").read_text().split("\n"))
    for target in re.findall(r"make ([\w-]+)", text):
        assert any(line.startswith(f"{target}:") for line in targets), target
    for path in re.findall(r"\]\((docs/[^)]+)\)", text):
        assert (ROOT / path).is_file(), path
    for section in re.findall(r"\[(sources\.events\.\w+)\]", text):
        assert section in (ROOT / ".dlt" / "config.toml").read_text(), section
