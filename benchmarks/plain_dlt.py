"""Plain dlt with nothing but the API described, into DuckDB: what one would write without us.

Settings come from the environment: `BASE_URL`, `API_KEY` (a secret of dlt's), and
`LOADER_FILE_FORMAT` for another file format than dlt's default.
"""

import os
from typing import Any, cast

import dlt
from dlt.sources.rest_api import rest_api_source

source = rest_api_source(
    {
        "client": {
            "base_url": os.environ["BASE_URL"],
            "auth": {
                "type": "api_key",
                "name": "api_key",
                "api_key": dlt.secrets["api_key"],
                "location": "query",
            },
        },
        "resource_defaults": {"primary_key": "id", "write_disposition": "merge"},
        "resources": [
            {
                "name": "events",
                "endpoint": {
                    "path": "/v1/events",
                    "data_selector": "data",
                    "paginator": {"type": "offset", "limit": 100},
                },
            }
        ],
    }
)
pipeline = dlt.pipeline(
    "plain_dlt",
    pipelines_dir="pipelines",
    destination=dlt.destinations.duckdb("data/events.duckdb"),
    dataset_name="events_data",
)
pipeline.run(source, loader_file_format=cast(Any, os.environ.get("LOADER_FILE_FORMAT")))
