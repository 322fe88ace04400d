"""The command `events-assets`: describes an API in `.dlt/config.toml`, and tries it."""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import click
import dlt
import tomlkit

from events_assets import __version__, configuration
from events_assets.authentication import Authentication, require_no_user
from events_assets.commands import toml_file
from events_assets.commands.check import try_api
from events_assets.commands.init import discover
from events_assets.commands.location import Dialogue, KeyPlace, key_place
from events_assets.commands.replay import replay_quarantine
from events_assets.commands.report import (
    ALERTS,
    FAILED,
    Report,
    Step,
    patience,
    terminal_columns,
)
from events_assets.errors import EventsError, StopError
from events_assets.http.log_masking import masked
from events_assets.http.redaction import MIN_SECRET_LENGTH
from events_assets.http.retry import hurried
from events_assets.settings import SECTIONS

KEPT = [model for name, model in SECTIONS.items() if name != "fields"]
"""The sections of config.toml that `init` leaves as they are."""


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

    Completion: eval "$(_EVENTS_ASSETS_COMPLETE=bash_source events-assets)", or zsh, fish.
    """
    context.color = False if os.environ.get("NO_COLOR") else None  # None: as the terminal has it


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, for programs.")
def check(as_json: bool) -> None:
    """Try the configured API with a few requests, and tell what a load would find.

    Writes nothing. Exits with 1 where events_job would not work.
    """
    report = Report() if as_json else Report(_print_step)
    if not as_json:
        click.echo("Trying the API that .dlt/config.toml describes ...\n")
    with patience():
        try_api(report)
    if as_json:
        click.echo(report.json())
    else:
        click.echo(report.example_text(terminal_columns()))
        click.echo(f"{report.traffic}; nothing was loaded or written.")
        failed, told = (
            report.failed,
            "events_job is expected to work, as far as rows were seen: make load",
        )
        if failed and failed.name == ALERTS:
            told = "events_job is expected to work, but not to tell where it does not: see above."
        elif failed:
            told = f"events_job would not work: see {failed.name} above."
        click.echo(told)
    sys.exit(1 if report.failed else 0)


@main.command()
def replay() -> None:
    """Load what was set aside in quarantine, as far as it can be loaded now.

    Asks the API for nothing. To be used after .dlt/config.toml was mended.
    """
    replay_quarantine(Report(_print_step))


@main.command()
@click.argument("url", required=False)
@click.option("--base-url", help="Where the API is, like https://api.example.com.")
@click.option("--path", help="Where it lists its events, like /v1/events.")
@click.option(
    "--key-in",
    "place",
    metavar="PLACE",
    type=key_place,
    help="Where the key goes: query[:NAME], header[:NAME], bearer, token, basic (as the user "
    "name), basic:USER (as the password of USER), or none. "
    "Without it, the common places are tried.",
)
@click.option("--post", "body", metavar="JSON", help="Ask by POST, with this body, like '{}'.")
@click.option("--graphql", metavar="QUERY", help="Ask by POST, with this query of GraphQL.")
@click.option("--yes", "--overwrite", is_flag=True, help="Replace a configured API unasked.")
def init(
    url: str | None,
    base_url: str | None,
    path: str | None,
    place: KeyPlace | None,
    body: str | None,
    graphql: str | None,
    yes: bool,
) -> None:
    """Find out how an API works, and describe it in .dlt/config.toml.

    URL is where it lists its events, instead of --base-url and --path. Asks the API with up to a
    few dozen small requests. The key, if there is one, comes from API_KEY or .dlt/secrets.toml,
    and goes to this API only.
    """
    configuration.reload_providers()
    for model in KEPT:
        configuration.section(model)  # stops where the file would be refused afterwards
    configuration.require_own_tables()
    file = Path(dlt.current.run_context().get_setting("config.toml"))
    document = tomlkit.parse(file.read_text(encoding="utf-8") if file.exists() else "")
    client = document.unwrap().get("sources", {}).get("events", {}).get("client", {})
    name, before = os.path.relpath(file), re.sub("//[^/]*@", "//", client.get("base_url", ""))
    if before not in ("", configuration.SAMPLE) and not yes:
        _require_consent(f"{name} describes the API at {before} already")
    if url and (base_url or path):
        raise click.UsageError("give either URL, or --base-url and --path")
    if url:
        base_url, path = re.findall(r"((?:\w+://)?[^/?#]*)(.*)", url)[0]
    base_url = _asked(base_url, "Base URL of the API", "--base-url")
    path = _asked(path, "Path of its events", "--path")
    if not re.match(r"https?://[^/?#]", base_url):  # which is not quoted: it may hold the key
        wrong = "what was given is no URL: write it with its scheme, like https://api.example.com"
        raise click.BadParameter(wrong, param_hint="--base-url")
    for url in (base_url, path):
        require_no_user(url, "the URL")
    report, api = _found_out(base_url, path, place, name, _body_of(body, graphql))
    toml_file.write(file, toml_file.describe(document, api))
    replaced = "the built-in sample API" if before == configuration.SAMPLE else before
    written = f"Written to {name}{replaced and f', in place of {replaced}'}:"
    text = f"\n{report.traffic}. {written}\n\n{toml_file.describe(tomlkit.document(), api)}"
    click.echo(report.redaction.text(text))
    _say_what_is_next(name)


def _found_out(
    base_url: str, path: str, place: KeyPlace | None, file: str, body: Any
) -> tuple[Report, toml_file.Description]:
    """The report on an API, printed as it grows, and what is to be written to the file."""
    key = configuration.api_key()
    if key and len(key) < MIN_SECRET_LENGTH:
        short = f"the key is shorter than {MIN_SECRET_LENGTH} characters, too short to be masked"
        raise click.ClickException(short)
    authentication = Authentication(key)
    report = Report(_print_step, authentication.redaction)
    settings = hurried(configuration.http_settings())
    with masked(report.redaction):
        click.echo(report.redaction.text(f"Finding out how {base_url} works ...\n"))
        try:
            asking = Dialogue(base_url, path, settings, authentication, report, place)
            if body is not None:
                asking.method, asking.body = "POST", body
            with asking as api, patience():
                return report, discover(api)
        except StopError as stop:
            report.add(Step(FAILED, *stop.args))
            raise click.ClickException(f"{file} is left as it was") from None


def _require_consent(already: str) -> None:
    if not sys.stdin.isatty():
        raise click.ClickException(f"{already}; give --yes to replace it")
    click.confirm(f"{already}. Describe another one instead?", abort=True)


def _say_what_is_next(file: str) -> None:
    names = [name for name in os.environ if name.startswith("SOURCES__EVENTS__")]
    if names:
        click.echo(f"These environment variables still win over the file: {', '.join(names)}\n")
    click.echo(
        "Go on with\n"
        "  events-assets check   try the API as it is described now\n"
        "  make load             load its events\n"
        f"  {file:<20}  correct by hand what was not found"
    )


def _body_of(text: str | None, graphql: str | None) -> Any:
    """The body of a POST, None where none is asked for."""
    if graphql:
        return {"query": graphql}
    try:
        body = None if text is None else json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"is no JSON: {error}", param_hint="--post") from None
    if body is not None and not isinstance(body, dict):
        raise click.BadParameter("is no JSON object", param_hint="--post")
    return body


def _asked(value: str | None, question: str, option: str) -> str:
    """The value of an option, asked for where there is someone to answer."""
    if not value and not sys.stdin.isatty():
        raise click.UsageError(f"{question} is missing, and there is no terminal: give {option}")
    return (value or str(click.prompt(question))).strip()


def _print_step(step: Step) -> None:
    click.echo(step.text(terminal_columns()))


if __name__ == "__main__":
    main()
