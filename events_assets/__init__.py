"""Every event from an event-management REST API in the warehouse, as Dagster assets."""

__version__ = "0.1.0"
