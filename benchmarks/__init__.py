"""Loads the same events with this project, with plain dlt and as fast as can be: `make bench`.

`events` makes them up, `server` is the API, `loads` says how they are loaded, `children` runs and
measures one load, `verification` compares what was loaded, `measures` judges, `report` writes.
"""
