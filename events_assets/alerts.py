"""Tells people that something is wrong: by e-mail, in Slack, or by a webhook, as configured.

What is wrong, and who knows already, is not known here.
"""

import html
import re
import smtplib
import ssl
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any
from urllib.parse import urlsplit

import requests

from events_assets import configuration
from events_assets.authentication import Authentication
from events_assets.errors import AlertError, ConfigurationError
from events_assets.http.explain import QUOTED, reason
from events_assets.http.log_masking import masked
from events_assets.http.redaction import MIN_SECRET_LENGTH, Redaction
from events_assets.settings import (
    AlertSettings,
    EmailSettings,
    SlackSettings,
    WebhookSettings,
    listed,
)

SECONDS = 20
"""The longest that a server may be silent."""
LONG = 16
"""Characters from which on a part of the URL of a webhook is taken for a secret."""


@dataclass(frozen=True)
class Message:
    """`title` is a line, `text` has one for each problem; `document` says the same to programs."""

    title: str
    text: str
    document: dict[str, Any] = field(default_factory=dict)


TRIAL = Message(
    "events_assets: a trial",
    "This is a trial: alerts of events_assets will come here.",
    {"state": "trial"},
)


def send(channel: str, message: Message) -> str:
    """Sends a message by one of the channels, its secrets masked, and returns where it went. Raises
    AlertError where it was not sent, ConfigurationError where the channel is not, or wrongly,
    configured."""
    settings = configuration.alert_settings()
    if channel not in settings.channels:
        raise ConfigurationError(f"there is no [sources.events.alerts.{channel}]")
    masking = redaction(settings)
    said = Message(
        " ".join(_printable(masking.text(message.title)).split()),
        _printable(masking.text(message.text)),
        masking.value(message.document),
    )
    with masked(masking):
        try:
            return SENDERS[channel](getattr(settings, channel), said, masking)
        except (OSError, ValueError) as error:  # smtplib's and those of requests among them
            told = f"{reason(error)}{_remedy(error)}"
        raise AlertError(
            masking.text(f"the alert was not sent: {told}; check [sources.events.alerts.{channel}]")
        )


def _by_email(email: EmailSettings, message: Message, masking: Redaction) -> str:
    mail = EmailMessage()
    mail["Subject"] = textwrap.shorten(message.title, QUOTED)
    mail["From"], mail["To"] = email.from_, ", ".join(listed(email.to))
    mail["Date"], mail["Message-ID"] = formatdate(), make_msgid(domain="events-assets")
    mail["Auto-Submitted"] = "auto-generated"  # so that nobody's absence is answered (RFC 3834)
    mail.set_content(message.text)
    with _connected(email) as server:
        if email.user:
            server.login(email.user, _required(email, "email", "password"))
        refused = server.send_message(mail)
    told = ", ".join(one for one in listed(email.to) if one not in refused)
    but = "".join(f", but the server refuses {one}: {why}" for one, why in refused.items())
    return masking.text(f"{told} by {email.host}:{email.port}{but}")


def _connected(email: EmailSettings) -> smtplib.SMTP:
    if email.security == "tls":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(email.host, email.port, timeout=SECONDS, context=context)
    server = smtplib.SMTP(email.host, email.port, timeout=SECONDS)
    try:
        if email.security == "starttls":
            server.starttls(context=ssl.create_default_context())
    except BaseException:
        server.close()
        raise
    return server


def _in_slack(slack: SlackSettings, message: Message, masking: Redaction) -> str:
    # So that no answer of an API calls everybody, or is a link.
    text = html.escape(f"{message.title}\n{message.text}", quote=False)
    return f"Slack at {_post(_required(slack, 'slack', 'url'), {'text': text}, {}, masking)}"


def _by_webhook(webhook: WebhookSettings, message: Message, masking: Redaction) -> str:
    document = {"title": message.title, "text": message.text, **message.document}
    url = _required(webhook, "webhook", "url")
    return f"the webhook at {_post(url, document, webhook.headers, masking)}"


def _post(url: str, document: Any, headers: dict[str, str], masking: Redaction) -> str:
    """Posts JSON, and returns the host that took it."""
    with requests.post(
        url,
        json=document,
        headers=headers,
        timeout=SECONDS,
        allow_redirects=False,  # which would not post it
        stream=True,
    ) as response:
        if not 200 <= response.status_code < 300:
            said = response.raw.read(QUOTED, decode_content=True).decode(errors="replace")
            words = textwrap.shorten(masking.text(_printable(said)), QUOTED)
            told = f"the answer is {response.status_code} {response.reason}: {words}"
            raise requests.HTTPError(told)
    return masking.text(urlsplit(url).hostname or "")


SENDERS: dict[str, Callable[[Any, Message, Redaction], str]] = {
    "email": _by_email,
    "slack": _in_slack,
    "webhook": _by_webhook,
}


def _remedy(error: Exception) -> str:
    match error:
        case smtplib.SMTPAuthenticationError():
            return "; the server does not accept user and password"
        case smtplib.SMTPNotSupportedError():
            return "; the server offers other than security says, or no log-in"
        case ssl.SSLCertVerificationError():
            return "; SSL_CERT_FILE may name the certificates to trust"
        case requests.exceptions.SSLError():
            return "; REQUESTS_CA_BUNDLE may name the certificates to trust"
    return ""


def _required(settings: Any, channel: str, name: str) -> str:
    """A secret of a channel. Raises ConfigurationError where there is none."""
    if found := _given(settings, channel, name):
        return found
    variable = f"SOURCES__EVENTS__ALERTS__{channel}__{name}".upper()
    raise ConfigurationError(
        f"{name} is missing in [sources.events.alerts.{channel}]: put it there in "
        f".dlt/secrets.toml, or set the environment variable {variable}"
    )


def _given(settings: Any, channel: str, name: str) -> str:
    """A setting that may be a secret, empty if there is none: from the files and the environment,
    or from a vault, which tells what it is asked for by name only."""
    return getattr(settings, name, None) or configuration.secret(f"alerts.{channel}.{name}") or ""


def redaction(settings: AlertSettings) -> Redaction:
    """Masks the secrets of all channels, and the key of the API."""
    masking = Authentication(configuration.api_key()).redaction
    found = [_given(settings.email, "email", "password")]
    for channel in ("slack", "webhook"):
        url = _given(getattr(settings, channel), channel, "url")
        at = re.sub("^[^/]*//[^/?]*", "", url)  # which errors name without the host
        found += [url, *(part for part in (at, *re.split("[/?&=:@]", url)) if len(part) >= LONG)]
    for name, value in (settings.webhook.headers if settings.webhook else {}).items():
        found += [value, *value.split()[-1:]] if configuration.is_secret_name(name) else []
    for secret in found:
        if len(secret) >= MIN_SECRET_LENGTH:
            masking.add(secret)
    return masking


def _printable(text: str) -> str:
    """A text without characters that no mail can hold."""
    return "".join(one if one.isprintable() or one == "\n" else " " for one in text)
