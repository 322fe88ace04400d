"""Puts the events into somebody else's `dg` project, where a defs.yaml says what `[sources.events]`
says in the configuration of this one."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import dagster as dg
import pydantic

from events_assets import configuration
from events_assets.vocabulary import TomlSchema, events_model

TEMPLATE = re.compile(r"\{\{.*?\}\}")


class Attributes(pydantic.BaseModel, extra="allow"):
    """`[sources.events]` as it was written; it is checked where it is read."""

    @classmethod
    def model_json_schema(cls, *_: Any, **__: Any) -> dict[str, Any]:
        return events_model().model_json_schema(schema_generator=TomlSchema)


class EventsApiScaffolder(dg.Scaffolder[Any]):
    """Begins with the built-in sample API."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        dg.scaffold_component(
            request,
            {
                "client": {
                    "base_url": "sample",
                    "auth": {"type": "api_key", "name": "api_key", "location": "query"},
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
                "warehouse": {"database": "events.duckdb"},
            },
        )


@dg.scaffold_with(EventsApiScaffolder)
@dataclass
class EventsApiComponent(dg.Component, dg.Resolvable):
    """The events of an event-management REST API, with their checks, jobs, schedule and sensor.

    The attributes are those of `[sources.events]`. The key of the API is none of them: it comes
    from the environment (API_KEY) or from .dlt/secrets.toml when a run starts.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def model(cls) -> type[pydantic.BaseModel]:
        return Attributes

    @classmethod
    def resolve_from_model(cls, _: dg.ResolutionContext, model: Any) -> Self:
        written = model.model_extra
        if found := TEMPLATE.search(json.dumps(written, default=str)):
            raise ValueError(
                f"templates like {found[0]} are not filled in: the environment sets "
                "client.base_url, for one, as SOURCES__EVENTS__CLIENT__BASE_URL"
            )
        return cls(written)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        configuration.provide(self.settings, context.path / "defs.yaml")
        # Here: definitions read the configuration when they are imported.
        from events_assets.definitions import defs

        # Without the executor, which is the project's to choose.
        return dg.Definitions(
            assets=defs.assets,
            asset_checks=defs.asset_checks,
            jobs=defs.jobs,
            schedules=defs.schedules,
            sensors=defs.sensors,
            resources=defs.resources,
        )
