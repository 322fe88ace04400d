"""Each way of authentication gets in, by configuration alone, and no secret is left anywhere."""

import itertools
import json
import logging
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from dlt.common.configuration import configspec
from dlt.common.typing import TSecretStrValue
from dlt.sources.helpers.rest_client.auth import (
    APIKeyAuth,
    AuthConfigBase,
    OAuth2ClientCredentials,
)
from dlt.sources.rest_api import config_setup

from events_assets.authentication import Authentication
from events_assets.errors import ApiError, ConfigurationError
from events_assets.http.log_masking import masked
from events_assets.http.session import ApiSession
from events_assets.sample_api import Answer, Handler, listening, serving
from events_assets.settings import HttpSettings
from events_assets_tests.conftest import RESOURCE, event, failure, load_configured

KEY = "the-key-of-these-tests"
SECRETS = {"API_KEY": KEY, "APP_ID": "the-id-of-the-app", "APP_SECRET": "the-secret-of-the-app"}

ENDPOINT = f"{RESOURCE}\npaginator = {{ type = 'offset', limit = 10 }}\n"


def basic(pair):
    return f"Basic {b64encode(pair.encode()).decode()}"


@dataclass
class Form:
    """A way to authenticate: how it is configured, and what the API is to be sent."""

    name: str
    value: str
    client: dict = field(default_factory=dict)
    endpoint: dict = field(default_factory=dict)
    defaults: dict = field(default_factory=dict)


TOKEN_IN_QUERY = {"params": {"token": "{secrets.api_key}"}}
FORMS = {
    "query": Form("?key", KEY, {"auth": {"type": "api_key", "name": "key", "location": "query"}}),
    "header": Form("X-Key", KEY, {"auth": {"type": "api_key", "name": "X-Key"}}),
    "cookie": Form(
        "Cookie",
        f"session={KEY}",
        {"auth": {"type": "api_key", "name": "session", "location": "cookie"}},
    ),
    "bearer": Form("Authorization", f"Bearer {KEY}", {"auth": "bearer"}),
    "prefix": Form(
        "Authorization",
        f"Token {KEY}",
        {
            "auth": {
                "type": "api_key",
                "name": "Authorization",
                "api_key": "Token {secrets.api_key}",
            }
        },
    ),
    "template": Form(
        "Authorization", f"Key {KEY}", {"headers": {"Authorization": "Key {secrets.api_key}"}}
    ),
    "key as user": Form(
        "Authorization",
        basic(f"{KEY}:"),
        {"auth": {"type": "http_basic", "username": "{secrets.api_key}", "password": ""}},
    ),
    "key as password": Form(
        "Authorization", basic(f"me:{KEY}"), {"auth": {"type": "http_basic", "username": "me"}}
    ),
    "user and password": Form(
        "Authorization",
        basic(f"me:{SECRETS['APP_SECRET']}"),
        {"auth": {"type": "http_basic", "username": "me", "password": "{secrets.app_secret}"}},
    ),
    "several": Form(
        "X-App-Key",
        SECRETS["APP_SECRET"],
        {"headers": {"X-App-Id": "{secrets.app_id}", "X-App-Key": "{secrets.app_secret}"}},
    ),
    "built": Form("X-Key", KEY, {"auth": APIKeyAuth(name="X-Key", api_key=KEY)}),
    "parameter": Form("?token", KEY, endpoint=TOKEN_IN_QUERY),
    "parameter of all": Form("?token", KEY, defaults=TOKEN_IN_QUERY),
}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for variable, secret in SECRETS.items():
        monkeypatch.setenv(variable, secret)


def protected(name, value):
    """What answers like an API that wants a header or query parameter to be right, and echoes
    what it was sent."""

    def answer(api, path):
        query = {key: values[0] for key, values in parse_qs(urlsplit(path).query).items()}
        sent = query.get(name[1:]) if name.startswith("?") else api.headers[-1].get(name)
        return Answer(200 if sent == value else 401, {"data": [], "error": f"sent {sent}"})

    return answer


@pytest.fixture
def ask(caplog):
    """Asks an API as it is configured; returns its answer."""

    def ask(form, answer):
        with serving([], key=KEY) as api:
            api.intercept = lambda number, path: answer(api, path)
            entry = {"name": "events", "endpoint": {"path": "/v1/events", **form.endpoint}}
            config = {
                "client": {"base_url": api.base_url, **form.client},
                "resource_defaults": {"endpoint": form.defaults},
                "resources": [entry],
            }
            authentication = Authentication(KEY)
            with caplog.at_level(logging.DEBUG), masked(authentication.redaction):
                filled = authentication.fill(config)
                auth = authentication.of(
                    filled["client"].get("auth"), lambda url: opened(url, authentication)
                )
                session = opened(api.base_url, authentication, auth)
                endpoint = {
                    **filled["resource_defaults"]["endpoint"],
                    **filled["resources"][0]["endpoint"],
                }
                request = requests.Request(
                    "GET",
                    f"{api.base_url}/v1/events",
                    params=endpoint.get("params"),
                    headers=filled["client"].get("headers"),
                )
                return session.ask(request, lambda answer: answer)

    return ask


def opened(base_url, authentication, auth=None):
    http = HttpSettings()
    http.backoff_factor = 0.001
    log = logging.getLogger("test")
    return ApiSession(base_url, http, authentication.redaction, log, auth=auth)


def leaks(*texts):
    """The texts in which a secret stands."""
    secrets = (*SECRETS.values(), basic(f"{KEY}:")[6:])
    return [text[:200] for text in texts for secret in secrets if secret in text]


@pytest.mark.parametrize("form", FORMS)
def test_each_form_gets_in_and_what_echoes_it_is_known_to_hold_a_secret(form, ask, caplog):
    form = FORMS[form]
    answer = ask(form, protected(form.name, form.value))
    assert answer.status == 200 and answer.holds_secret
    assert leaks(caplog.text) == []


@pytest.mark.parametrize("form", FORMS)
def test_each_form_fails_with_a_sentence_and_without_a_trace(form, ask, caplog):
    form = FORMS[form]
    with pytest.raises(ApiError, match=r"401 .* does not accept the key") as raised:
        ask(form, protected(form.name, "something else"))
    assert leaks(str(raised.value), caplog.text) == []
    assert "it says" in str(raised.value)


def test_a_secret_that_is_missing_names_where_to_put_it(monkeypatch):
    monkeypatch.delenv("APP_ID")
    with pytest.raises(ConfigurationError) as raised:
        Authentication(KEY).fill({"client": FORMS["several"].client, "resources": []})
    assert "client.headers.X-App-Id needs a key" in str(raised.value)
    assert "APP_ID" in str(raised.value)


def test_a_key_that_is_missing_is_named_only_where_it_is_needed():
    authentication = Authentication(None)
    for form in ("header", "bearer", "key as password"):
        with pytest.raises(ConfigurationError, match="the API needs a key and there is none"):
            authentication.of(FORMS[form].client["auth"], None)
    assert authentication.of(None, None) is None


@pytest.mark.parametrize("auth", ["{secrets.app_id}", {"type": "bearer", "token": "abc"}])
def test_a_secret_too_short_to_be_masked_is_named(monkeypatch, auth):
    monkeypatch.setenv("APP_ID", "abc")
    authentication = Authentication(KEY)
    with pytest.raises(ConfigurationError, match=r"the secret (app_id|token) is shorter than 6"):
        filled = authentication.fill({"client": {"auth": auth}, "resources": []})
        authentication.of(filled["client"]["auth"], None)


def test_a_secret_with_braces_is_sent_as_it_is(serve, configure, monkeypatch):
    api = serve([])
    key = "{odd}{{secret}"
    monkeypatch.setenv("API_KEY", key)
    configure(ENDPOINT + 'params = { token = "{secrets.api_key}" }')
    api.intercept = lambda number, path: (
        Answer(200, {"data": [event(1)], "total": 1})
        if parse_qs(urlsplit(path).query)["token"] == [key]
        else Answer(401, {})
    )
    load_configured()


def test_no_secret_is_left_in_the_project_or_the_log(
    serve, run, rows, configure, project, caplog, capfd
):
    configure(
        "[sources.events]\nclient.headers = "
        '{ X-App-Id = "{secrets.app_id}", X-App-Key = "{secrets.app_secret}" }\n' + ENDPOINT
    )
    api = serve([], key=KEY)
    echo = protected("X-App-Key", SECRETS["APP_SECRET"])
    api.intercept = lambda number, path: (
        Answer(200, {"data": [event(1, echo=api.headers[-1]["X-App-Key"])], "total": 1})
        if echo(api, path).status == 200
        else Answer(401, {})
    )
    with caplog.at_level(logging.DEBUG):
        load_configured()
        assert rows("SELECT echo FROM events") == [("[masked]",)]
        api.intercept = lambda number, path: Answer(401, {"error": api.headers[-1]["X-App-Key"]})
        told = failure(run())
    files = [path.read_bytes().decode("latin-1") for path in project.rglob("*") if path.is_file()]
    assert leaks(told, caplog.text, *capfd.readouterr(), *files) == []


@pytest.mark.parametrize("form", ["header", "cookie", "several", "template"])
def test_a_redirect_to_another_host_gets_no_secret(form, ask):
    with serving([]) as elsewhere:
        location = {"Location": f"{elsewhere.base_url}/v1/events"}
        with pytest.raises(ApiError, match="leads to another origin"):
            ask(FORMS[form], lambda api, path: Answer(302, {}, location))
    assert elsewhere.paths == []


@configspec
class SignedAuth(AuthConfigBase):
    """One that is registered with dlt."""

    shared_secret: TSecretStrValue = None

    def __call__(self, request):
        request.headers["X-Signed"] = f"with {self.shared_secret}"
        return request


@configspec
class JsonTokens(OAuth2ClientCredentials):
    """Access tokens as this API has them, registered with dlt."""

    def build_access_token_request(self):
        return {"json": {"secret": self.client_secret}}

    def parse_access_token(self, response_json):
        return response_json["result"]["token"]


def test_what_is_registered_with_dlt_authenticates_and_its_secret_is_masked(
    ask, monkeypatch, caplog
):
    monkeypatch.setattr(config_setup, "AUTH_MAP", dict(config_setup.AUTH_MAP))
    config_setup.register_auth("signed", SignedAuth)
    auth = {"type": "signed", "shared_secret": "a-secret-of-its-own"}
    form = Form("X-Signed", "with a-secret-of-its-own", {"auth": auth})
    assert ask(form, protected(form.name, form.value)).holds_secret
    with pytest.raises(ApiError, match="it says") as raised:
        ask(form, protected(form.name, "something else"))
    assert "a-secret-of-its-own" not in str(raised.value) + caplog.text


class TokenServer:
    """Issues access tokens, and answers whoever has the newest one."""

    def __init__(self, *, expires_in=3600, revoke_at=()):
        self.expires_in, self.revoke_at = expires_in, set(revoke_at)
        self.issued, self.asked = [], []

    def token(self, _number, _path):
        self.asked.append(parse_qs(self.tokens.bodies[-1].decode()))
        self.issued.append(f"token-number-{len(self.issued) + 1}")
        return Answer(200, {"access_token": self.issued[-1], "expires_in": self.expires_in})

    def page(self, number, _path):
        if number in self.revoke_at:
            self.issued.append("a-token-that-nobody-knows")
        sent = self.api.headers[-1].get("Authorization")
        return Answer(200 if sent == f"Bearer {self.issued[-1]}" else 401, {"echo": sent})


@pytest.fixture
def oauth():
    """Opens a session with an API behind OAuth 2, whose tokens come from another origin."""
    with serving([]) as tokens, serving([]) as api:

        def oauth(server, base_url=api.base_url, **auth):
            server.tokens, server.api = tokens, api
            tokens.intercept, api.intercept = server.token, server.page
            authentication = Authentication(None)
            auth = {
                "type": "oauth2_client_credentials",
                "access_token_url": f"{tokens.base_url}/token",
                "client_id": SECRETS["APP_ID"],
                "client_secret": SECRETS["APP_SECRET"],
                **auth,
            }

            def new_session(base_url):
                return opened(base_url, authentication)

            return opened(base_url, authentication, authentication.of(auth, new_session))

        yield oauth


def page_of(session, number=0):
    request = requests.Request("GET", f"{session.base_url}/{number}")
    return session.ask(request, lambda answer: answer)


@pytest.mark.parametrize(
    ("behaviour", "tokens"),
    [({}, 1), ({"expires_in": 0}, 5), ({"revoke_at": {3}}, 3)],
    ids=["lasting", "expiring", "revoked"],
)
def test_an_access_token_is_fetched_whenever_it_is_needed(oauth, caplog, behaviour, tokens):
    server = TokenServer(**behaviour)
    session = oauth(server)
    with caplog.at_level(logging.DEBUG), masked(session.redaction):
        assert all(page_of(session, number).holds_secret for number in range(5))
    assert len(server.issued) == tokens
    assert server.asked[0]["client_id"] == [SECRETS["APP_ID"]]
    assert leaks(caplog.text) == [] and "token-number-1" not in caplog.text


def test_requests_at_once_share_a_token_and_its_renewal(oauth):
    server, numbers = TokenServer(), itertools.count(1)

    class Api(Handler):
        def do_GET(self):  # noqa: N802
            if next(numbers) == 20:
                server.issued.append("a-token-that-nobody-knows")
            known = self.headers["Authorization"] == f"Bearer {server.issued[-1]}"
            self.send(Answer(200 if known else 401, {}))

    with listening(Api) as (_, base_url), ThreadPoolExecutor(8) as pool:
        session = oauth(server, base_url)
        answers = list(pool.map(lambda number: page_of(session, number), range(60)))
    assert {answer.status for answer in answers} == {200}
    assert server.issued == ["token-number-1", "a-token-that-nobody-knows", "token-number-3"]


def test_a_token_that_is_refused_twice_is_a_refusal(oauth):
    server = TokenServer(revoke_at=range(1, 9))
    with pytest.raises(ApiError, match="401 Unauthorized"):
        page_of(oauth(server))
    assert len(server.api.paths) == 2


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer(200, {"access_token": None}), "POST .* answers without access_token"),
        (Answer(200, ["token"]), "POST .* answers without access_token"),
        (Answer(200, {"access_token": "a-token", "expires_in": "never"}), "without access_token"),
        (Answer(200, b"<html>"), "JSON was expected"),
        (Answer(400, {"error": "invalid_client"}), '400 Bad Request.* "invalid_client"'),
        (Answer(503, {}), "503 Service Unavailable after 4 attempts"),
    ],
)
def test_credentials_that_are_refused_say_so(oauth, answer, told):
    server = TokenServer()
    server.token = lambda number, path: answer
    session = oauth(server)
    with pytest.raises(ApiError, match=f"there is no access token: .*{told}"):
        page_of(session)
    assert server.api.paths == []


def test_tokens_in_the_form_of_another_api_are_read_as_registered_with_dlt(oauth, monkeypatch):
    monkeypatch.setattr(config_setup, "AUTH_MAP", dict(config_setup.AUTH_MAP))
    config_setup.register_auth("json_tokens", JsonTokens)
    server = TokenServer()

    def token(number, path):
        server.issued.append(f"token-for-{SECRETS['APP_SECRET']}")
        right = SECRETS["APP_SECRET"].encode() in server.tokens.bodies[-1]
        return Answer(200 if right else 400, {"result": {"token": server.issued[-1]}})

    server.token = token
    assert page_of(oauth(server, type="json_tokens")).holds_secret


def test_each_scope_has_a_token_of_its_own(serve, run, rows, configure, monkeypatch):
    api = serve()
    monkeypatch.setenv("CLIENT_ID", SECRETS["APP_ID"])
    monkeypatch.setenv("CLIENT_SECRET", SECRETS["APP_SECRET"])
    auth = f'type = "oauth2_client_credentials", access_token_url = "{api.base_url}/token"'
    configure(
        ENDPOINT.split("[[")[0]
        + "".join(
            f"""
[[sources.events.resources]]
name = "{scope}"
table_name = "events"
[sources.events.resources.endpoint]
path = "/{scope}"
data_selector = "data"
paginator = {{ type = "offset", limit = 10 }}
auth = {{ {auth}, access_token_request_data = {{ scope = "{scope}" }} }}
"""
            for scope in ("public", "private")
        )
    )

    def answer(number, path):
        scope = parse_qs(api.bodies[-1].decode()).get("scope", [urlsplit(path).path[1:]])[0]
        if path == "/token":
            return Answer(200, {"access_token": f"token-for-{scope}"})
        if api.headers[-1]["Authorization"] != f"Bearer token-for-{scope}":
            return Answer(401, {})
        return Answer(200, {"data": [event(len(scope))], "total": 1})

    api.intercept = answer
    assert run().success
    assert rows("SELECT count(*) FROM events") == [(2,)]


@pytest.mark.slow
def test_no_session_stays_open_behind_a_load_or_a_command(serve, run, command, monkeypatch):
    opened = []

    class Noted(ApiSession):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            opened.append(self)

    for module in ("lists", "commands.location"):
        monkeypatch.setattr(f"events_assets.{module}.ApiSession", Noted)
    api = serve([event(1)])
    words = ("--base-url", api.base_url, "--path", "/v1/events", "--yes")
    assert command("init", *words).exit_code == 0
    in_init = len(opened)
    tokens = serve()
    tokens.intercept = lambda number, path: Answer(200, {"access_token": "token-of-the-tests"})
    api.intercept = lambda number, path: Answer(200, {"data": [event(1)], "total": 1})
    auth = {"type": "oauth2_client_credentials", "access_token_url": f"{tokens.base_url}/token"}
    auth |= {"client_id": SECRETS["APP_ID"], "client_secret": SECRETS["APP_SECRET"]}
    monkeypatch.setenv("SOURCES__EVENTS__CLIENT__AUTH", json.dumps(auth))
    monkeypatch.setenv("SOURCES__EVENTS__CLIENT__BASE_URL", api.base_url)
    assert run().success
    assert in_init > 1 and [one.base_url for one in opened[in_init:]] == [
        api.base_url,
        f"{tokens.base_url}/token",
    ]
    assert all(one._transport._closing.is_set() for one in opened)
