"""How pages are fetched: pure HTTP and dlt, without tables and without Dagster.

`session` sends requests and retries them, `pages` decides what counts as a page, `offsets`,
`page_numbers` and `chains` walk them (`paging` is what they share), `receipt` counts and judges,
`columnar` makes Arrow tables of rows, `scan` ties all this to a dlt resource, `redaction` keeps
secrets out of whatever is written.
"""
