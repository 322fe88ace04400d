"""No resource shares a table with another one, or with what this package writes."""

import pytest

from events_assets import configuration
from events_assets.errors import ConfigurationError
from events_assets_tests.conftest import refused

CONFIG = """
[sources.events.client]
base_url = "{url}"
[[sources.events.resources]]
name = "events"
endpoint = "v1/events"
[[sources.events.resources]]
name = "{name}"
endpoint = "v1/other"
{more}
"""


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("Events", ""),
        ("EVENTS ", ""),
        ("events", ""),
        ("events__tags", ""),
        ("Events__Tags__x", ""),
        ("scan_receipts", ""),
        ("scanReceipts", ""),
        ("Daily Events", ""),
        ("event_changes", ""),
        ("current_events", ""),
        ("quarantined_events", ""),
        ("quarantined_gigs", ""),
        ("_dlt_loads", ""),
        ("gigs", 'table_name = "Events"'),
        ("gigs", 'table_name = "scan_receipts"'),
        ("gigs", 'table_name = "events__tags"'),
    ],
)
def test_names_that_share_a_table_are_refused_before_the_first_request(
    serve, configure, name, more, monkeypatch
):
    api = serve()
    monkeypatch.delenv("SOURCES__EVENTS__CLIENT__BASE_URL")
    configure(CONFIG.format(url=api.base_url, name=name, more=more))
    with pytest.raises(ConfigurationError) as raised:
        configuration.rest_api_config()
    line = 10 if more else 8
    assert f"the resource '{name}' in [[sources.events.resources]]" in str(raised.value)
    assert f"config.toml, line {line})" in str(raised.value)
    assert refused() == str(raised.value)
    assert not api.paths
    assert configuration.table_names() == ["events"]


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("past", 'table_name = "events"'),
        ("events_tags", ""),
        ("Events", "selected = false"),
        ("dlt_events", ""),
        ("event", ""),
    ],
)
def test_other_names_are_taken(configure, name, more):
    configure(CONFIG.format(url="https://api.example.com", name=name, more=more))
    assert configuration.rest_api_config()
