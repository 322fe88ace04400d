"""The command `events-assets`: `init` describes an API in `.dlt/config.toml`, `check` tries it."""
