"""docs/data.md says what the tables hold, and its queries and its notebook run."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from events_assets.sample_api import sample_events
from events_assets_tests.conftest import COLUMNS, load_configured
from events_assets_tests.notebook import PAGE, notebook

TEXT = PAGE.read_text(encoding="utf-8")
QUERIES = re.findall(r"(?ms)^(\S[^\n]*:)\n\n```sql\n(.*?)^```", TEXT)


@pytest.fixture
def loaded(serve, run):
    """A sample of 400 events, and two days of their history: renamed, cancelled, gone, broken."""
    now = datetime.now(UTC)
    events = sample_events(400)
    events[0] |= {"start_time": now.isoformat(), "end_time": (now + timedelta(1)).isoformat()}
    api = serve(events)
    load_configured()
    events[0] |= {"event_name": "Another name"}
    events[1] |= {"status": "cancelled"}
    events[2] |= {"id": None}
    del events[3]
    api.events = events
    load_configured()
    assert run("daily_events_job").success


@pytest.mark.slow
def test_each_query_of_the_documents_finds_rows(loaded, rows):
    assert len(QUERIES) == TEXT.count("```sql") > 15
    assert [title for title, query in QUERIES if not rows(query)] == []


def test_each_column_is_in_the_documents_and_no_other(loaded, rows):
    told = {}
    for title, section in re.findall(r"(?ms)^## ([^\n]*`[^\n]*)\n(.*?)(?=^## |\Z)", TEXT):
        cells = re.findall(r"(?m)^\| (`[^|]*) \|", section.split("```sql")[0])
        columns = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
        told |= dict.fromkeys(re.findall(r"`(\w+)`", title), columns)
    assert len(told) == 7
    for table, columns in told.items():
        assert columns == {name for (name,) in rows(COLUMNS.format(table))}, table


def test_the_notebook_is_made_of_the_page():
    written = json.loads((PAGE.parent / "data.ipynb").read_text(encoding="utf-8"))
    assert written == notebook(), "make schema"


@pytest.mark.slow
# DuckDB announces what pyproject.toml keeps away; an announcement is an error in tests.
@pytest.mark.filterwarnings(r"ignore:fetch_arrow_table\(\) is deprecated")
def test_each_cell_of_the_notebook_runs_where_notebooks_start(
    loaded, project, monkeypatch, request
):
    if request.config.getoption("--destination") != "duckdb":
        pytest.skip("the notebook reads the DuckDB file")
    (project / "docs").mkdir()
    monkeypatch.chdir(project / "docs")
    names: dict[str, object] = {}
    cells = [cell for cell in notebook()["cells"] if cell["cell_type"] == "code"]
    for cell in cells:
        exec("".join(cell["source"]), names)  # noqa: S102
    assert len(names["rows"]) == 398 and names["arrow_table"].num_rows == 400
    assert len(names["show"]("SELECT * FROM events").df()) == 400
    assert len(names["dataset"]("SELECT id FROM events").df()) == 400
    names["connection"].close()
