"""An image and its services without containers: the steps of a Dockerfile in an empty folder, and
what a Compose file starts, as plain processes on loopback.

The absolute paths of the image are below that folder, and each service listens on a free port. What
root may do in an image only root does here; else all is done by, and belongs to, the own user.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from events_assets_tests.postgres import cluster, free_port

FOLDERS = re.compile(r"(?<![\w.])/(?=(opt|src|tmp|var)\b)")
"""Where an image has files of its own."""
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])(.*?))?\}")


class Image:
    """What the instructions of a Dockerfile make, below a folder."""

    def __init__(self, root, context):
        self.root, self.context = root, context
        self.env, self.workdir, self.user, self.name = {}, "/", "0", None

    def build(self, dockerfile):
        text = re.sub(r"(?m)^#.*\n", "", dockerfile.read_text()).replace("\\\n", " ")
        for line in filter(None, text.splitlines()):
            instruction, rest = line.split(maxsplit=1)
            getattr(self, f"_{instruction.lower()}")(rest)
        return self

    def at(self, path):
        """Where a path of the image is."""
        return Path(self.below(os.path.join(self.workdir, path)))  # noqa: PTH118

    def below(self, text):
        return FOLDERS.sub(lambda _: f"{self.root}/", text)

    def environment(self):
        return {"LANG": "C.UTF-8", "TMPDIR": str(self.at("/tmp")), **self.env}  # noqa: S108

    def as_user(self):
        """Arguments of a process that runs as the user of the image."""
        if os.geteuid():
            return {}
        uid, gid = map(int, self.user.split(":"))
        return {"user": uid, "group": gid, "extra_groups": []}

    def python(self):
        """The folder of a Python that the user of an image may run: not that of root alone."""
        prefix, copy = Path(sys.base_prefix), self.root.parent / "python"
        if all(folder.stat().st_mode & 0o001 for folder in prefix.parents):
            return prefix
        if not copy.exists():
            skipped = shutil.ignore_patterns("__pycache__", "site-packages", "test")
            shutil.copytree(prefix, copy, ignore=skipped, symlinks=True)
        return copy

    def _from(self, rest):
        """A stage starts empty; what the one before has made waits for `COPY --from`."""
        if self.root.exists():
            self.root.rename(f"{self.root}-{self.name}")
        self.root.mkdir()
        self.at("/tmp").mkdir(mode=0o777)  # noqa: S108
        self.at("/tmp").chmod(0o1777)  # noqa: S108
        (self.root / "var/lib").mkdir(parents=True)  # of the distribution
        python = self.python()
        self.env = {"PATH": f"{python}/bin:/usr/bin:/bin", "LD_LIBRARY_PATH": f"{python}/lib"}
        self.workdir, self.user, self.name = "/", "0", rest.partition(" AS ")[2]

    def _workdir(self, rest):
        self.workdir = rest
        self.at("").mkdir(parents=True, exist_ok=True)

    def _user(self, rest):
        self.user = rest

    def _env(self, rest):
        for name, value in (pair.split("=", 1) for pair in shlex.split(rest)):
            old = self.env.get("PATH", "")
            self.env[name] = self.below(value).replace("$PATH", old)

    def _copy(self, rest):
        *sources, target = shlex.split(rest)
        if sources[0].startswith("--from="):  # moved, as scripts have their interpreter's path
            stage, source = sources[0].removeprefix("--from="), sources[1]
            self.at(target).parent.mkdir(parents=True, exist_ok=True)
            Path(f"{self.root}-{stage}{source}").rename(self.at(target))
            return
        for source in map(self.context.joinpath, sources):
            if source.is_dir():
                shutil.copytree(source, self.at(target), dirs_exist_ok=True)
            else:
                place = self.at(target) / (source.name if target.endswith("/") else "")
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, place)

    def _run(self, rest):
        command = self.below(rest)
        if os.geteuid():
            command = command.replace("10001", str(os.getuid()))
        subprocess.run(
            ["sh", "-ec", command],
            cwd=self.at(""),
            env=self.environment(),
            check=True,
            capture_output=True,
            text=True,
        )


def read(compose, secrets):
    """A Compose file with its variables replaced, as Compose does it."""

    def value(match):
        name, kind, text = match.groups()
        found = secrets.get(name, "")
        if not found and kind == "?":
            raise KeyError(f"{name}: {text}")
        return found or (text if kind == "-" else "")

    def replaced(node):
        if isinstance(node, dict):
            return {name: replaced(child) for name, child in node.items()}
        if isinstance(node, list):
            return [replaced(child) for child in node]
        return VARIABLE.sub(value, node) if isinstance(node, str) else node

    return replaced(yaml.safe_load(compose.read_text()))


class Services:
    """The services of a Compose file as processes, each started when those before are healthy."""

    def __init__(self, compose, image, secrets):
        self.folder = compose.parent
        self.services, self.image = read(compose, secrets)["services"], image
        self.ports = {"5432": "", "4000": str(free_port()), "3000": str(free_port())}
        self.processes = {}

    def port(self, number):
        return self.ports[str(number)]

    @contextmanager
    def up(self, programs):
        """Runs all services; `programs` are those of PostgreSQL, which has no process here."""
        with ExitStack() as stack:
            for name in self.in_order():
                if name == "postgres":
                    stack.enter_context(self._postgres(programs))
                else:
                    stack.callback(self.stop, name)
                    self.start(name)
                self.wait_for(name)
            yield self

    def in_order(self):
        """The names of the services, each after those that it depends on."""
        names, waiting = [], dict(self.services)
        while waiting:
            ready = [n for n in waiting if {*waiting[n].get("depends_on", {})} <= {*names}]
            names += ready
            for name in ready:
                del waiting[name]
        return names

    @contextmanager
    def _postgres(self, programs):
        """PostgreSQL as its image starts it: a role with a password, a database, a script."""
        given = self.services["postgres"]["environment"]
        assert given["POSTGRES_USER"] == "events"
        with cluster(programs, password=given["POSTGRES_PASSWORD"]) as self.database:
            self.ports["5432"] = self.database.rpartition(":")[2].split("/")[0]
            self.psql = programs / "psql"
            self.sql("postgres", f"CREATE DATABASE {given['POSTGRES_DB']}")
            for volume in self.services["postgres"]["volumes"]:
                source, _, target = volume.partition(":")
                if target.startswith("/docker-entrypoint-initdb.d/"):
                    self.sql(given["POSTGRES_DB"], (self.folder / source).read_text())
            yield

    def sql(self, database, query):
        url = self.database.rpartition("/")[0] + f"/{database}"
        words = [self.psql, url, "-v", "ON_ERROR_STOP=1", "-qAt", "-c", query]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()

    def local(self, word):
        """A word of a command, with its ports and addresses on loopback."""
        for port, free in self.ports.items():
            word = re.sub(rf"\b{port}\b", free, word)
        return word.replace("0.0.0.0", "127.0.0.1")  # noqa: S104

    def environment(self, name):
        env = dict(self.image.environment())
        for key, value in (self.services[name].get("environment") or {}).items():
            if key.endswith("HOST"):
                assert value in self.services, f"{key} is {value}, which is no service"
            env[key] = "127.0.0.1" if key.endswith("HOST") else self.local(value)
        return env

    def start(self, name):
        image, words = self.image, [self.local(word) for word in self.services[name]["command"]]
        program = shutil.which(words[0], path=image.env["PATH"])
        assert program and Path(program).is_relative_to(image.root), f"{words[0]} is not there"
        with (image.root / f"{name}.log").open("a") as log:
            self.processes[name] = subprocess.Popen(
                [program, *words[1:]],
                cwd=image.at(""),
                env=self.environment(name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **image.as_user(),
            )

    def stop(self, name):
        process = self.processes[name]
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.kill(name)

    def kill(self, name):
        """Kills a service with all of its processes, as where the machine dies."""
        process = self.processes[name]
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def wait_for(self, name):
        """Runs the health check of a service until it passes."""

        def is_sick():
            process = self.processes.get(name)
            if process and process.poll() is not None:
                raise RuntimeError(f"{name} ended: {self.log(name)}")
            return self.check(name).returncode

        stop = stop_after_delay(180)
        Retrying(stop=stop, wait=wait_fixed(0.5), retry=retry_if_result(bool))(is_sick)

    def check(self, name):
        kind, *words = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        env = self.environment(name)
        if name == "postgres":
            env["PATH"] = str(self.psql.parent)
        program = shutil.which(words[0], path=env["PATH"])
        words = [program, *map(self.local, words[1:])]
        return subprocess.run(words, cwd=self.image.at(""), env=env, capture_output=True)

    def log(self, name):
        return (self.image.root / f"{name}.log").read_text()[-3000:]


def workspace(services, path):
    """Points the workspace of the image at the services as they run here."""
    server = yaml.safe_load(path.read_text())["load_from"][0]["grpc_server"]
    assert server["host"] in services.services
    server |= {"host": "127.0.0.1", "port": int(services.port(server["port"]))}
    path.write_text(json.dumps({"load_from": [{"grpc_server": server}]}))
