"""Says what is wrong with the configuration in one sentence, and where that is set.

No value is quoted that may be a secret.
"""

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

EXPECTED = {
    "string_type": "a text",
    "string_pattern_mismatch": "a text that is not empty",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "too_short": "a list that is not empty",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le:g}",
    "literal_error": "{expected}",
    "no_path": "a path, several, or a table",
    "no_type": "a name, or a table with a type",
}
"""What a value must be, by what pydantic finds wrong with it."""

_KEY = r"""(?:"[^"]*"|'[^']*'|[\w-]+)"""
_LINE = re.compile(rf"\s*(\[{{0,2}})\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*[\]=]")

Steps = list[str | int]
"""Keys, and numbers of entries in lists, from the top of the configuration down to a value."""


def sentence(error: ValidationError, value: Any, start: Sequence[str], files: list[Path]) -> str:
    """What is wrong with a value by what its model found, where, and what is expected. `start` are
    the keys from the top of the configuration down to the value, `files` are as for `place`."""
    found = [(*_located(one, value, start), one) for one in error.errors(include_url=False)]
    # Where there are alternatives, what is wrong by the one that fits best.
    ranks = {"missing": 0, "unknown": 1}
    steps, names, best = max(found, key=lambda one: (len(one[0]), ranks.get(one[2]["type"], 2)))
    contexts = [(one["type"], one.get("ctx", {})) for place, _, one in found if place == steps]
    context, where, name = best.get("ctx", {}), place(steps, names, files), ".".join(names)
    known = list(dict.fromkeys(key for _, one in contexts for key in one.get("known", ())))
    nearest = difflib.get_close_matches(context.get("word", names[-1]), known, n=1, cutoff=0.5)
    remedy = f"did you mean '{nearest[0]}'?" if nearest else f"known: {', '.join(known)}"
    match best["type"]:
        case "missing":
            return f"'{names[-1]}' is missing in {'.'.join(names[:-1])} ({where})"
        case "unknown":
            word = context.get("word", names[-1])
            return f"unknown '{word}' in {name.removesuffix(f'.{word}')} ({where}); {remedy}"
        case "no_name":
            also = f"; {remedy}" if nearest else ""
            return (
                f"{name} must be one of {', '.join(known)}, or a table with a type ({where}){also}"
            )
        case "value_error":
            return f"{name} {context['error']} ({where})"
    expected = {EXPECTED.get(kind, "another value").format(**one): None for kind, one in contexts}
    return f"{name} must be {' or '.join(expected)} ({where})"


def place(steps: Sequence[str | int], names: Sequence[str], files: list[Path]) -> str:
    """Where a value, or else the table around it, is set: environment variable, or file and line.
    `steps` lead down to the value, `names` are the same with names of resources; of the files where
    it may be set the first wins."""
    depths = range(len(steps), 0, -1)
    variables = {n: re.sub(r"\W", "_", "__".join(names[:n])).upper() for n in depths}
    is_list = len(steps) > 3 and isinstance(steps[3], int)
    for depth in depths:  # a variable replaces all that is below it, ...
        if (depth > 3 or (depth == 3 and is_list)) and variables[depth] in os.environ:
            return variables[depth]
    below = [one for one in os.environ if names and one.startswith(f"{variables[len(steps)]}__")]
    for depth in depths:
        if depth == 3 and variables[depth] in os.environ:
            return variables[depth]  # ... but one for a whole table of ours only adds to it
        for file in files:
            for number, path in _lines(file):
                if path == [*steps[:depth]] or path[:depth] == steps:
                    return f"{file}, line {number}"
        if below:
            return min(below)
    return str(files[-1])


def _located(error: ErrorDetails, value: Any, start: Sequence[str]) -> tuple[Steps, list[str]]:
    """The place of an error, once more with names; pydantic puts those of alternatives between."""
    steps: Steps = [*start]
    names = [*start]
    for part in error["loc"]:
        if isinstance(value, Mapping) and part in value:
            value = value[part]
            names.append(str(part))
        elif isinstance(part, int):
            value = value[part] if isinstance(value, list) else None
            name = value.get("name") if isinstance(value, Mapping) else None
            names.append(name if isinstance(name, str) else str(part))
        else:
            continue
        steps.append(part)
    is_missing, context = error["type"] == "missing", error.get("ctx", {})
    if key := error["loc"][-1] if is_missing else context.get("key"):
        steps.append(key)
        names.append(str(key))
    return steps, names


def _lines(file: Path) -> Iterator[tuple[int, Steps]]:
    """The lines of a TOML file that begin a table or a value, each with the steps to it."""
    table: Steps = []
    last: dict[tuple[str | int, ...], int] = {}
    # What cannot be read was refused before.
    lines = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    for number, line in enumerate(lines.splitlines(), 1):
        found = _LINE.match(line)
        if found is None:
            continue
        steps: Steps = [] if found[1] else [*table]
        keys = [key.strip("\"'") for key in re.findall(_KEY, found[2])]
        for depth, key in enumerate(keys, 1):
            steps.append(key)
            array = tuple(steps)
            if found[1] == "[[" and depth == len(keys):
                last[array] = last.get(array, -1) + 1
            if array in last:
                steps.append(last[array])
        if found[1]:
            table = steps
        yield number, steps
