"""The Dagster definitions, one file for each kind; all else in this package knows no Dagster."""
