"""The Dagster definitions, one file for each kind; all else in this package knows no Dagster.

Whatever lies in this folder is loaded: `dg scaffold defs dagster.asset my_asset.py` adds to it.
"""
