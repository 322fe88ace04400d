"""How pages are fetched: pure HTTP and dlt, without tables and without Dagster.

`session` sends requests and retries them, `pages` decides what counts as a page, `paging` walks
the offsets, `receipt` counts and judges, `scan` ties them to a dlt resource, `redaction` keeps
secrets out of whatever is written.
"""
