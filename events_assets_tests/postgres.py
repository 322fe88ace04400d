"""A throw-away PostgreSQL cluster on loopback, for the tests of one process."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[-2]))
"""Debian keeps the programs of its versions out of PATH."""
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "32MB",
}


def installed() -> Path | None:
    """The folder of `initdb` and `pg_ctl`, of the newest version where there are several."""
    folders = [Path(found).resolve().parent] if (found := shutil.which("initdb")) else DEBIAN[::-1]
    return next((folder for folder in folders if (folder / "pg_ctl").exists()), None)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def cluster(programs: Path, password: str = "") -> Iterator[str]:
    """A cluster that keeps nothing, and the URL of its database `postgres`.

    The role `events` may do everything, and is asked for its password where there is one.
    PostgreSQL refuses to run as root: there it runs as the user `postgres`, which its package has
    made.
    """
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="events_assets_postgres_") as folder:
        secret = Path(folder) / "password"
        secret.write_text(password or "events")
        if user:
            for path in (folder, secret):
                shutil.chown(path, user, user)

        def call(program: str, *words: str) -> None:
            command = [programs / program, "-D", f"{folder}/data", *words]
            # Into a file: what runs on in the background would keep a pipe open.
            with (Path(folder) / "log").open("a+") as log:
                if subprocess.run(
                    command, cwd=folder, user=user, group=user, stdout=log, stderr=log
                ).returncode:
                    log.seek(0)
                    raise RuntimeError(f"{program} failed: {log.read()}")

        auth = "scram-sha-256" if password else "trust"
        call("initdb", "--username=events", f"--auth={auth}", f"--pwfile={secret}", "--locale=C",
             "--encoding=UTF8", "--no-sync")  # fmt: skip
        port = free_port()
        options = " ".join(f"-c {name}='{value}'" for name, value in SETTINGS.items())
        call("pg_ctl", "start", "--wait", "--silent", "--options", f"-p {port} {options}")
        try:
            login = f"events:{quote(secret.read_text(), safe='')}"
            yield f"postgresql://{login}@127.0.0.1:{port}/postgres"
        finally:
            call("pg_ctl", "stop", "--wait", "--silent", "--mode=immediate")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL database of this session."""
    programs = installed()
    if programs is None:
        pytest.skip("no PostgreSQL on this machine: neither in PATH nor in /usr/lib/postgresql")
    with cluster(programs) as url:
        yield url


@pytest.fixture
def into_postgres(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], list[tuple[Any, ...]]]]:
    """Lets a test load into a new PostgreSQL database, and runs queries on it."""
    import psycopg2

    name = f"test_{uuid4().hex}"
    with closing(psycopg2.connect(postgres)) as server:
        server.autocommit = True
        server.cursor().execute(f"CREATE DATABASE {name}")
    url = f"{postgres.rpartition('/')[0]}/{name}"
    monkeypatch.setenv("DESTINATION_TYPE", "postgres")
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", url)

    def rows(sql: str) -> list[tuple[Any, ...]]:
        options = "-c timezone=UTC -c search_path=events_data"
        with closing(psycopg2.connect(url, options=options)) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []

    yield rows
    with closing(psycopg2.connect(postgres)) as server:
        server.autocommit = True
        server.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")
