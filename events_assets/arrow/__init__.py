"""Rows as Arrow tables that hold just what dlt would make of the rows one by one."""
