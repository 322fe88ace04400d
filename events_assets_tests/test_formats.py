"""Times that are not ISO 8601 are recognised, and no month is taken for a day."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_assets import settings
from events_assets.commands.formats import formats_of


@pytest.mark.parametrize(
    ("texts", "forms"),
    [
        (["31.12.2026 18:00", "1.1.2027 9:30"], ["%d.%m.%Y %H:%M"]),
        (["03.04.2026"], ["%d.%m.%Y"]),
        (["31.12.26, 18:00:05"], ["%d.%m.%y, %H:%M:%S"]),
        (["12/31/2026"], ["%m/%d/%Y"]),
        (["31/12/2026"], ["%d/%m/%Y"]),
        (["03/04/2026"], ["%m/%d/%Y", "%d/%m/%Y"]),
        (["03/04/2026", "12/31/2026"], ["%m/%d/%Y"]),
        (["03/04/26 6:00 PM"], ["%m/%d/%y %I:%M %p", "%d/%m/%y %I:%M %p"]),
        (["2026/12/31 18:00"], ["%Y/%m/%d %H:%M"]),
        (["31-12-2026"], ["%d-%m-%Y"]),
        (["Dec 31, 2026 6 PM", "May 1, 2026 11 am"], ["%b %d, %Y %I %p"]),
        (["May 1, 2026 6pm", "December 31, 2026 11am"], ["%B %d, %Y %I%p"]),
        (["31 December 2026 at 18:00"], ["%d %B %Y at %H:%M"]),
        (["Thursday, 31 Dec 2026 18:00"], ["%A, %d %b %Y %H:%M"]),
        (["Thu Dec 31 18:00:00 +0100 2026"], ["%a %b %d %H:%M:%S %z %Y"]),
        (["12/31/2026 06:00:00 PM -05:00"], ["%m/%d/%Y %I:%M:%S %p %z"]),
        (["31.12.2026 18:00 Uhr"], ["%d.%m.%Y %H:%M Uhr"]),
        (["2026-12-31 6:00 PM"], ["%Y-%m-%d %I:%M %p"]),
        (["31.12.2026 18:00", "31.12.2026"], []),
        (["31.12.2026 18:00 CET"], []),
        (["13/13/2026"], []),
        (["Dec 31"], []),
        (["31.12."], []),
        (["Hall 31.12.2026"], []),
        (["%d.12.2026", "#.12.2026"], []),
        (["12 of 2026"], []),
        (["soon", 5, None], []),
        ([{"at": "31.12.2026"}], []),
    ],
)
def test_a_format_is_proposed_where_it_reads_all_and_two_where_months_may_be_days(texts, forms):
    assert formats_of(texts) == forms


@given(st.lists(st.text("0123456789 ./-:,TZAPM#%adeot", max_size=30), min_size=1, max_size=3))
def test_what_is_proposed_can_be_configured_and_reads_the_text(texts):
    for form in formats_of(texts):
        assert settings.TimeSettings(path="at", format=form)
        assert [datetime.strptime(text.strip(), form) for text in texts]
