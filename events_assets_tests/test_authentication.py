"""Each way of authentication gets in, by configuration alone, and no secret is left anywhere."""

import logging
from base64 import b64encode
from urllib.parse import parse_qs, urlsplit

import pytest

from events_assets.sample_api import Answer
from events_assets_tests.conftest import event, failure

KEY = "the-key-of-these-tests"
SECRETS = {"API_KEY": KEY, "APP_ID": "the-id-of-the-app", "APP_SECRET": "the-secret-of-the-app"}

ENDPOINT = """
[sources.events.resource_defaults]
primary_key = "id"
write_disposition = "merge"

[[sources.events.resources]]
name = "events"

[sources.events.resources.endpoint]
path = "/v1/events"
data_selector = "data"
paginator = { type = "offset", limit = 10 }
"""


def basic(pair):
    return f"Basic {b64encode(pair.encode()).decode()}"


FORMS = {
    "query": ('client.auth = { type = "api_key", name = "key", location = "query" }', "?key", KEY),
    "header": ('client.auth = { type = "api_key", name = "X-Key" }', "X-Key", KEY),
    "cookie": (
        'client.auth = { type = "api_key", name = "session", location = "cookie" }',
        "Cookie",
        f"session={KEY}",
    ),
    "bearer": ('client.auth = "bearer"', "Authorization", f"Bearer {KEY}"),
    "prefix": (
        'client.auth = { type = "api_key", name = "Authorization", '
        'api_key = "Token {secrets.api_key}" }',
        "Authorization",
        f"Token {KEY}",
    ),
    "template": (
        'client.headers = { Authorization = "Key {secrets.api_key}" }',
        "Authorization",
        f"Key {KEY}",
    ),
    "key as user": (
        'client.auth = { type = "http_basic", username = "{secrets.api_key}", password = "" }',
        "Authorization",
        basic(f"{KEY}:"),
    ),
    "user and password": (
        'client.auth = { type = "http_basic", username = "me", password = "{secrets.app_secret}" }',
        "Authorization",
        basic(f"me:{SECRETS['APP_SECRET']}"),
    ),
    "several": (
        'client.headers = { X-App-Id = "{secrets.app_id}", X-App-Key = "{secrets.app_secret}" }',
        "X-App-Key",
        SECRETS["APP_SECRET"],
    ),
    "parameter": (
        'resources.events.endpoint.params = { token = "{secrets.api_key}" }',
        "?token",
        KEY,
    ),
    "parameter of all": (
        'resource_defaults.endpoint.params = { token = "{secrets.api_key}" }',
        "?token",
        KEY,
    ),
}


@pytest.fixture
def protected(serve, monkeypatch, project):
    """An API that wants a header or query parameter to be right; echoes what it was sent."""

    def protected(name, value):
        api = serve([], key=KEY)
        for variable, secret in SECRETS.items():
            monkeypatch.setenv(variable, secret)

        def answer(number, path):
            query = {key: values[0] for key, values in parse_qs(urlsplit(path).query).items()}
            sent = query.get(name[1:]) if name.startswith("?") else api.headers[-1].get(name)
            if sent != value:
                return Answer(401, {"error": f"{sent} is wrong"})
            offset = int(query["offset"])
            rows = [event(n, echo=sent) for n in range(25)][offset : offset + 10]
            return Answer(200, {"data": rows, "total": 25})

        api.intercept = answer
        return api

    return protected


def configured(setting):
    if setting.startswith("resources."):
        return ENDPOINT + setting.split("endpoint.")[1] + "\n"
    if setting.startswith("resource_defaults."):
        head, rest = ENDPOINT.split('"merge"\n')
        return f'{head}"merge"\n{setting.removeprefix("resource_defaults.")}\n{rest}'
    return f"[sources.events]\n{setting}\n{ENDPOINT}"


def leaks(project, *texts):
    """Where a secret stands: in files of the project, or in the texts."""
    found = []
    for secret in (*SECRETS.values(), basic(f"{KEY}:")[6:]):
        found += [text[:200] for text in texts if secret in text]
        for path in project.rglob("*"):
            if path.is_file() and secret.encode() in path.read_bytes():
                found.append(str(path))
    return found


@pytest.mark.parametrize("form", FORMS)
def test_each_form_gets_in_and_leaves_no_trace(
    form, protected, run, rows, configure, project, caplog, capfd
):
    setting, name, value = FORMS[form]
    configure(configured(setting))
    protected(name, value)
    with caplog.at_level(logging.DEBUG):
        result = run()
    assert result.success
    assert rows("SELECT count(*) FROM events") == [(25,)]
    assert leaks(project, caplog.text, *capfd.readouterr()) == []


@pytest.mark.parametrize("form", FORMS)
def test_each_form_fails_with_a_sentence_and_without_a_trace(
    form, protected, run, configure, project, caplog, capfd
):
    setting, name, _ = FORMS[form]
    configure(configured(setting))
    protected(name, "something else")
    with caplog.at_level(logging.DEBUG):
        told = failure(run())
    assert "401" in told and "does not accept the key" in told
    assert leaks(project, told, caplog.text, *capfd.readouterr()) == []


def test_a_secret_that_is_missing_names_where_to_put_it(serve, run, configure):
    serve()
    configure(configured('client.headers = { X-App-Id = "{secrets.app_id}" }'))
    told = failure(run())
    assert "client.headers.X-App-Id needs a key" in told and "APP_ID" in told


def test_a_secret_too_short_to_be_masked_is_named(serve, run, configure, monkeypatch):
    serve()
    monkeypatch.setenv("APP_ID", "abc")
    configure(configured('client.headers = { X-App-Id = "{secrets.app_id}" }'))
    assert "the secret app_id is shorter than 6 characters" in failure(run())


def test_a_secret_with_braces_is_sent_as_it_is(protected, run, configure, monkeypatch):
    api = protected("?token", "{odd}{{secret}")
    monkeypatch.setenv("API_KEY", "{odd}{{secret}")
    configure(configured(FORMS["parameter"][0]))
    assert run().success and len(api.paths) == 3


@pytest.mark.parametrize("form", ["header", "cookie", "several", "template"])
def test_a_redirect_to_another_host_gets_no_secret(form, protected, serve, run, configure):
    setting, name, value = FORMS[form]
    configure(configured(setting))
    elsewhere = serve()
    api = protected(name, value)
    url = {"Location": f"{elsewhere.base_url}/v1/events"}
    api.intercept = lambda number, path: Answer(302, {}, url)
    assert "leads to another origin" in failure(run())
    assert elsewhere.paths == []


OAUTH = """
[sources.events]
client.auth = { type = "oauth2_client_credentials", access_token_url = "URL/token" }
"""


class TokenServer:
    """Issues access tokens, and gives events to whoever has the newest one."""

    def __init__(self, api, *, expires_in=3600, revoke_at=()):
        self.api, self.expires_in, self.revoke_at = api, expires_in, set(revoke_at)
        self.issued, self.asked = [], []

    def __call__(self, number, path):
        if path == "/token":
            self.asked.append(parse_qs(self.api.bodies[-1].decode()))
            self.issued.append(f"token-number-{len(self.issued) + 1}")
            return Answer(200, {"access_token": self.issued[-1], "expires_in": self.expires_in})
        if number in self.revoke_at:
            self.issued.append("a-token-that-nobody-knows")
        if self.api.headers[-1].get("Authorization") != f"Bearer {self.issued[-1]}":
            return Answer(401, {"error": "token"})
        offset = int(parse_qs(urlsplit(path).query)["offset"][0])
        rows = [event(n, echo=self.issued[-1]) for n in range(45)][offset : offset + 10]
        return Answer(200, {"data": rows, "total": 45})


@pytest.fixture
def oauth(serve, configure, monkeypatch):
    """An API behind OAuth 2 client credentials, whose tokens come from another origin."""

    def oauth(**behaviour):
        tokens, api = serve(), serve()
        configure(OAUTH.replace("URL", tokens.base_url) + ENDPOINT)
        monkeypatch.setenv("CLIENT_ID", SECRETS["APP_ID"])
        monkeypatch.setenv("CLIENT_SECRET", SECRETS["APP_SECRET"])
        server = TokenServer(api, **behaviour)
        api.intercept = server

        def token(number, path):
            api.bodies.append(tokens.bodies[-1])
            return server(number, path)

        tokens.intercept = token
        return server

    return oauth


@pytest.mark.parametrize(
    ("behaviour", "tokens"),
    [({}, 1), ({"expires_in": 0}, 5), ({"revoke_at": {3}}, 3)],
    ids=["lasting", "expiring", "revoked"],
)
def test_an_access_token_is_fetched_whenever_it_is_needed(
    oauth, run, rows, project, caplog, behaviour, tokens
):
    server = oauth(**behaviour)
    with caplog.at_level(logging.DEBUG):
        assert run().success
    assert rows("SELECT count(*) FROM events") == [(45,)]
    assert len(server.issued) == tokens
    assert server.asked[0]["client_id"] == [SECRETS["APP_ID"]]
    assert leaks(project, caplog.text) == []
    assert "token-number-1" not in caplog.text
    assert rows("SELECT DISTINCT echo FROM events") == [(["Bearer", "[masked]"][1],)]


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


def test_credentials_that_are_refused_say_so(oauth, run):
    oauth(expires_in="never")
    assert "there is no access token: POST" in failure(run())
