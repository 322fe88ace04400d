"""A secret is masked in whatever spelling a server may give it, and wherever it was put."""

import base64
import json
from urllib.parse import quote, quote_plus

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from events_assets.configuration import is_secret_name
from events_assets.http.redaction import MASK, Redaction
from events_assets_tests.conftest import event, failure

KEY = "key/of the+tests=é&7<x>"


def percent(text):
    return "".join(f"%{byte:02x}" for byte in text.encode())


def decimal(text):
    return "".join(f"&#{ord(one):05d};" for one in text)


def hexadecimal(text):
    return "".join(f"&#X{ord(one):x};" for one in text)


def escaped(text):
    return "".join(f"\\u{ord(one):04X}" for one in text)


SPELLINGS = [quote, quote_plus, percent, decimal, hexadecimal, escaped, lambda text: text]
PRINTED = "".join(map(chr, (*range(33, 127), *range(161, 256))))
SECRETS = st.text(PRINTED, min_size=6, max_size=20)


@given(
    secret=SECRETS,
    ways=st.lists(st.sampled_from([quote, percent]), max_size=3),
    last=st.sampled_from(SPELLINGS),
    around=st.text("ab /?&=", max_size=5),
)
def test_a_secret_encoded_over_and_over_is_masked(secret, ways, last, around):
    spelled = secret
    for way in [*ways, last]:
        spelled = way(spelled)
    text = around + spelled + around
    assert spelled not in Redaction(secret).text(text)
    assert secret not in Redaction(secret).text(text)


@given(
    secret=SECRETS | st.text("%&#\\xu0123456789abc;", min_size=6, max_size=20),
    ways=st.lists(st.sampled_from(SPELLINGS), min_size=20, max_size=20),
)
@example("00000000000000000%00", [*[quote] * 19, percent])
@example("%3a%3a", [decimal, percent, quote, escaped, quote, quote])
def test_a_secret_with_some_characters_escaped_is_masked(secret, ways):
    spelled = "".join(way(one) for way, one in zip(ways, secret, strict=False))
    redaction, text = Redaction(secret), f"<a href='{spelled}'>"
    assert spelled not in redaction.text(text)
    assert redaction.may_occur_in(orjson.dumps([text]), [text])


@pytest.mark.parametrize("before", ["", "u", "us", "user:", "a:b:c"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_secret_in_base64_is_masked_wherever_it_begins(before, encode):
    text = encode(f"{before}{KEY} and more".encode()).decode()
    assert MASK in Redaction(KEY).text(f"Basic {text}")


@pytest.mark.parametrize("way", SPELLINGS)
def test_an_answer_that_holds_a_spelling_is_seen_to(way):
    document = {"data": [{"id": 1, "self": f"https://example.org/?key={way(KEY)}"}]}
    body = orjson.dumps(document)
    redaction = Redaction(KEY)
    assert redaction.may_occur_in(body, document)
    assert way(KEY) not in json.dumps(redaction.value(document), ensure_ascii=False)


def test_a_key_of_digits_is_masked_as_a_number():
    redaction, document = Redaction("12345678"), {"key": 12345678, "other": 123456789, "n": 1.5}
    assert redaction.may_occur_in(orjson.dumps(document), document)
    assert redaction.value(document) == {"key": MASK, "other": 123456789, "n": 1.5}


@pytest.mark.parametrize(
    "text", ["100 % sure", "a=b&c=d", "%20 &amp; %e9", "\\u0041bc", "fair &copy"]
)
def test_harmless_texts_stay_as_they_are(text):
    assert Redaction(KEY).text(text) == text
    assert not Redaction(KEY).may_occur_in(json.dumps(text).encode(), text)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("X-Api-Key", True),
        ("apiKey", True),
        ("key", True),
        ("access_token", True),
        ("Authorization", True),
        ("client-secret", True),
        ("page_token", False),
        ("sort_key", False),
        ("keyword", False),
        ("session", False),
        ("limit", False),
    ],
)
def test_what_is_named_like_a_secret_is_one(name, told):
    assert is_secret_name(name) is told


@pytest.mark.parametrize("user", ["user:pa55word-1", "user", ":pa55word-1"])
def test_a_password_in_the_base_url_is_refused_and_not_quoted(serve, run, monkeypatch, user):
    api = serve([event(1)])
    url = api.base_url.replace("//", f"//{user}@")
    monkeypatch.setenv("SOURCES__EVENTS__CLIENT__BASE_URL", url)
    told = failure(run())
    assert "client.base_url holds a user name or password" in told and "pa55word" not in told
    assert not api.paths


@pytest.mark.parametrize("key", ["key-of-the-tests-\u4e2d", "key-of\nthe-tests"])
def test_a_key_that_no_header_can_hold_is_refused_by_name(serve, run, monkeypatch, key):
    api = serve([event(1)])
    monkeypatch.setenv("SOURCES__EVENTS__CLIENT__AUTH", "bearer")
    monkeypatch.setenv("API_KEY", key)
    told = failure(run())
    assert "characters that no header can hold" in told and "key-of" not in told
    assert not api.paths


def test_a_header_without_a_placeholder_is_refused_in_config_toml(serve, run, configure):
    configure('[sources.events.client.headers]\nX-Api-Key = "a-literal-secret"\n')
    api = serve([event(1)])
    told = failure(run())
    assert "X-Api-Key, in .dlt/config.toml" in told and "a-literal" not in told
    assert not api.paths
