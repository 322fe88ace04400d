"""The databases that events go to. What is said here of each was seen: others are refused, as
nobody has compared what they hold with what DuckDB holds."""
