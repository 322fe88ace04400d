-- Run once, when the volume of PostgreSQL is new. POSTGRES_DB makes the other one, `dagster`.
CREATE DATABASE warehouse;
