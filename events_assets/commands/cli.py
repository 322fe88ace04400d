"""The command `events-assets`: describes an API in `.dlt/config.toml`, and tries it."""

import logging
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import click
import dlt

from events_assets import configuration
from events_assets.authentication import Authentication
from events_assets.commands import report, toml_file
from events_assets.commands.check import try_api
from events_assets.commands.init import Discovery
from events_assets.commands.location import KeyPlace, key_place
from events_assets.commands.report import Report
from events_assets.errors import ApiError
from events_assets.http.log_masking import masked
from events_assets.http.redaction import MIN_SECRET_LENGTH, Redaction
from events_assets.http.retry import hurried

STEP_WIDTH = len("configuration")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Reads events from an event-management API into your warehouse.

    The API is described in .dlt/config.toml; its key comes from API_KEY or .dlt/secrets.toml.
    """
    # Why it takes longer, in the words of the session.
    logging.getLogger("events_assets").addHandler(logging.StreamHandler())


@main.command()
def check() -> None:
    """Try the configured API with a few requests, and tell what a load would find.

    Writes nothing. Exits with 1 where events_job would not work.
    """
    told = Report(lambda step: click.echo(report.lines(step, STEP_WIDTH)))
    click.echo("Trying the API that .dlt/config.toml describes ...\n")
    try_api(told)
    if told.example:
        click.echo("\nAn example event, as it will be loaded")
        width = max(map(len, told.example))
        for name, value in told.example.items():
            click.echo(f"  {name:<{width}}  {value}")
    click.echo(f"\n{_requests(told.requests)}; nothing was loaded or written.")
    if told.failed is None:
        click.echo("events_job is expected to work: make load")
    else:
        click.echo(f"events_job would not work: see {told.failed.name} above.")
    sys.exit(1 if told.failed else 0)


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
    file = Path(dlt.current.run_context().get_setting("config.toml"))
    text = toml_file.read(file)
    before = toml_file.configured(text)
    shown = os.path.relpath(file)
    if before and before != configuration.SAMPLE and not yes:
        _confirm(f"{shown} describes the API at {before} already", "Describe another one instead?")
    base_url = _asked(base_url, "Base URL of the API", "--base-url")
    path = _asked(path, "Path of its events", "--path")
    _require_url(base_url)
    key = configuration.api_key()
    if key and len(key) < MIN_SECRET_LENGTH:
        raise click.ClickException(
            f"the key is shorter than {MIN_SECRET_LENGTH} characters, too short to be masked"
        )
    authentication = Authentication(key)
    redaction = authentication.redaction
    with masked(redaction):
        told = Report(lambda step: click.echo(report.lines(step, STEP_WIDTH)), redaction)
        _say(redaction, f"Finding out how {base_url} works ...\n")
        settings = hurried(configuration.http_settings())
        found = Discovery(base_url, path, settings, authentication, told, place)
        try:
            enough = found.run()
        except ApiError as error:
            told.add(report.FAILED, "reachable", str(error))
            enough = False
        if not enough:
            _say(redaction, f"\n{shown} is left as it was.")
            sys.exit(1)
        endpoint = found.described()
        parts = (found.client, endpoint, found.scan, found.fields)
        toml_file.write(file, toml_file.rewritten(text, *parts))
        replaced = {"": "", configuration.SAMPLE: ", in place of the built-in sample API"}
        instead = replaced.get(before, f", in place of {before}")
        _say(redaction, f"\n{_requests(told.requests)}. Written to {shown}{instead}:\n")
        _say(redaction, toml_file.section(*parts))
    _tell_overrides()
    click.echo(
        "Go on with\n"
        "  events-assets check   try the API as it is described now\n"
        "  make load             load its events\n"
        f"  {shown:<20}  correct by hand what was not found"
    )


def _say(redaction: Redaction, text: str) -> None:
    click.echo(redaction.text(text))


def _requests(count: int) -> str:
    return f"{report.counted(count, 'request')} {'was' if count == 1 else 'were'} made"


def _place(value: str | None) -> KeyPlace | None:
    try:
        return key_place(value) if value else None
    except ValueError:
        raise click.BadParameter(
            "write query, query:NAME, header, header:NAME, bearer, token, basic, basic:USER or none"
        ) from None


def _asked(value: str | None, question: str, option: str) -> str:
    """The value of an option, asked for where there is someone to answer."""
    if value:
        return value.strip()
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} is missing, and there is no terminal: give {option}")
    return str(click.prompt(question)).strip()


def _confirm(told: str, question: str) -> None:
    if not sys.stdin.isatty():
        raise click.ClickException(f"{told}; give --yes to replace it")
    click.confirm(f"{told}. {question}", abort=True)


def _require_url(base_url: str) -> None:
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.BadParameter(
            f"{base_url!r} is no URL: write it with its scheme, like https://api.example.com",
            param_hint="--base-url",
        )


def _tell_overrides() -> None:
    names = [name for name in os.environ if name.startswith("SOURCES__EVENTS__")]
    if names:
        click.echo(f"These environment variables still win over the file: {', '.join(names)}\n")


if __name__ == "__main__":
    main()
