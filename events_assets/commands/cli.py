"""The command `events-assets`: describes an API in `.dlt/config.toml`, and tries it."""

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import click
import dlt
import tomlkit

from events_assets import __version__, configuration
from events_assets.authentication import Authentication
from events_assets.commands import toml_file
from events_assets.commands.check import try_api
from events_assets.commands.init import Discovery
from events_assets.commands.location import KeyPlace, key_place
from events_assets.commands.report import FAILED, SHOWN, Report, Step, StopError, counted, shown
from events_assets.errors import EventsError
from events_assets.http.log_masking import masked
from events_assets.http.redaction import MIN_SECRET_LENGTH
from events_assets.http.retry import hurried

NAME_WIDTH = len("configuration")
"""Of the names of steps."""


class Commands(click.Group):
    """Commands that end with a sentence where an error speaks to people."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except EventsError as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="events-assets", message="%(prog)s %(version)s")
@click.pass_context
def main(context: click.Context) -> None:
    """Reads events from an event-management API into your warehouse.

    The API is described in .dlt/config.toml; its key comes from API_KEY or .dlt/secrets.toml.
    """
    context.color = False if os.environ.get("NO_COLOR") else None  # None: as the terminal has it


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, for programs.")
def check(as_json: bool) -> None:
    """Try the configured API with a few requests, and tell what a load would find.

    Writes nothing. Exits with 1 where events_job would not work.
    """
    report = Report() if as_json else Report(_print_step)
    if as_json:
        try_api(report)
        click.echo(report.json())
    else:
        click.echo("Trying the API that .dlt/config.toml describes ...\n")
        try_api(report)
        _print_outcome(report)
    sys.exit(1 if report.failed else 0)


def _print_outcome(report: Report) -> None:
    if report.example:
        click.echo("\nAn example event, as it will be loaded")
    width = max(map(len, report.example), default=0)
    room = min(SHOWN, max(20, (_columns() or 10_000) - width - 4))
    for name, value in report.example.items():
        click.echo(f"  {name:<{width}}  {shown(value, room)}")
    click.echo(f"\n{_requests(report.requests)}; nothing was loaded or written.")
    failed = report.failed and f"events_job would not work: see {report.failed.name} above."
    click.echo(failed or "events_job is expected to work: make load")


@main.command()
@click.option("--base-url", help="Where the API is, like https://api.example.com.")
@click.option("--path", help="Where it lists its events, like /v1/events.")
@click.option(
    "--key-in",
    "place",
    metavar="PLACE",
    callback=lambda _context, _option, value: _place(value),
    help="Where the key goes: query[:NAME], header[:NAME], bearer, token, basic (as the user "
    "name), basic:USER (as the password of USER), or none. "
    "Without it, the common places are tried.",
)
@click.option("--yes", "--overwrite", is_flag=True, help="Replace a configured API unasked.")
def init(base_url: str | None, path: str | None, place: KeyPlace | None, yes: bool) -> None:
    """Find out how an API works, and describe it in .dlt/config.toml.

    Asks the API with up to a few dozen small requests. The key, if there is one, comes from
    API_KEY or .dlt/secrets.toml, and goes to this API only.
    """
    configuration.reload_providers()
    configuration.require_own_tables()
    file = Path(dlt.current.run_context().get_setting("config.toml"))
    document = tomlkit.parse(file.read_text(encoding="utf-8") if file.exists() else "")
    client = document.unwrap().get("sources", {}).get("events", {}).get("client", {})
    name, before = os.path.relpath(file), client.get("base_url", "")
    if before not in ("", configuration.SAMPLE) and not yes:
        already = f"{name} describes the API at {before} already"
        if not sys.stdin.isatty():
            raise click.ClickException(f"{already}; give --yes to replace it")
        click.confirm(f"{already}. Describe another one instead?", abort=True)
    base_url = _asked(base_url, "Base URL of the API", "--base-url")
    path = _asked(path, "Path of its events", "--path")
    if not re.match(r"https?://[^/?#]", base_url):
        wrong = f"{base_url!r} is no URL: write it with its scheme, like https://api.example.com"
        raise click.BadParameter(wrong, param_hint="--base-url")
    key = configuration.api_key()
    if key and len(key) < MIN_SECRET_LENGTH:
        short = f"the key is shorter than {MIN_SECRET_LENGTH} characters, too short to be masked"
        raise click.ClickException(short)
    authentication = Authentication(key)
    redaction = authentication.redaction
    with masked(redaction):
        click.echo(redaction.text(f"Finding out how {base_url} works ...\n"))
        settings, report = hurried(configuration.http_settings()), Report(_print_step, redaction)
        try:
            api = Discovery(base_url, path, settings, authentication, report, place).run()
        except StopError as stop:
            report.add(FAILED, *stop.args)
            raise click.ClickException(f"{name} is left as it was") from None
        toml_file.write(file, toml_file.describe(document, api))
        replaced = "the built-in sample API" if before == configuration.SAMPLE else before
        written = f"Written to {name}{replaced and f', in place of {replaced}'}:"
        click.echo(redaction.text(f"\n{_requests(report.requests)}. {written}\n"))
        click.echo(redaction.text(toml_file.describe(tomlkit.document(), api)))
    names = [name for name in os.environ if name.startswith("SOURCES__EVENTS__")]
    if names:
        click.echo(f"These environment variables still win over the file: {', '.join(names)}\n")
    click.echo(
        "Go on with\n"
        "  events-assets check   try the API as it is described now\n"
        "  make load             load its events\n"
        f"  {name:<20}  correct by hand what was not found"
    )


def _place(value: str | None) -> KeyPlace | None:
    try:
        return key_place(value) if value else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _asked(value: str | None, question: str, option: str) -> str:
    """The value of an option, asked for where there is someone to answer."""
    if not value and not sys.stdin.isatty():
        raise click.UsageError(f"{question} is missing, and there is no terminal: give {option}")
    return (value or str(click.prompt(question))).strip()


def _print_step(step: Step) -> None:
    click.echo(step.text(NAME_WIDTH, _columns()))


def _columns() -> int | None:
    """The width of the terminal, None where the output goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _requests(count: int) -> str:
    return f"{counted(count, 'request')} {'was' if count == 1 else 'were'} made"


if __name__ == "__main__":
    main()
