"""People hear of trouble when it breaks, once a day while it lasts, and when it is over."""

import json
import re
from datetime import timedelta
from urllib.parse import quote

import dagster as dg
import pytest

from events_assets import alerts, configuration
from events_assets.alerts import Message
from events_assets.definitions import defs
from events_assets.defs import alerts as sensors
from events_assets.defs.alerts import alerting
from events_assets.defs.retention import REPOSITORY
from events_assets.errors import AlertError, ConfigurationError
from events_assets_tests.conftest import COMMITTED, ROOT, event, forget_providers
from events_assets_tests.receivers import CERTIFICATE, Http, Smtp, receiving, text_of
from events_assets_tests.shapes import KEY

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
PASSWORD = "pass/word of + alerts"
TOKEN = "T0123456789/B0123456789/abcdefghijklmnopqrstuvwx"
A_DAY = 24 * 3600


@pytest.fixture
def alert(monkeypatch):
    """Configures a channel by the environment."""

    def alert(channel, **settings):
        for name, value in settings.items():
            monkeypatch.setenv(f"SOURCES__EVENTS__ALERTS__{channel}__{name}".upper(), str(value))

    monkeypatch.setenv("API_KEY", KEY)
    return alert


@pytest.fixture
def webhook(alert):
    with receiving(Http) as server:
        alert("webhook", url=f"http://127.0.0.1:{server.port}/hooks/{TOKEN}")
        yield server


@pytest.fixture
def mailbox(alert):
    with receiving(Smtp) as server:
        alert("email", host="127.0.0.1", port=server.port, to="ops@example.com")
        alert("email", security="none", **{"from": "events@example.com"})
        alert("email", user="events", password=PASSWORD)
        yield server


@pytest.fixture
def tick(instance):
    """Evaluates the sensor of a channel once, hours after the tick before, on its cursor."""
    cursors = {}

    def tick(channel="webhook", hours=0):
        before = json.loads(cursors.get(channel) or "{}")
        for one in before.values():
            one["told"] -= hours * 3600
        context = dg.build_sensor_context(
            instance=instance,
            cursor=json.dumps(before),
            definitions=defs,
            repository_name="__repository__",
        )
        data = alerting(channel).evaluate_tick(context)
        cursors[channel] = data.cursor
        return data.skip_message

    return tick


@pytest.fixture
def check(instance):
    """Reports what a check found."""

    def check(passed, severity=ERROR, name="event_ids_are_unique"):
        found = dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey("events"),
            check_name=name,
            passed=passed,
            severity=severity,
            description="ids answered twice: 3; is primary_key what identifies an event?",
        )
        instance.report_runless_asset_event(found)

    return check


def test_what_is_well_is_not_talked_of(webhook, tick):
    assert tick() == tick() == "nothing is wrong"
    assert webhook.received == []


def test_a_failed_run_is_told_once_and_once_a_day_and_once_when_it_is_over(
    serve, run, webhook, tick, monkeypatch
):
    serve([event(1)])
    monkeypatch.setenv("API_KEY", "another-key")
    run(), tick(), tick()
    run(), tick(hours=1)
    (broken,) = webhook.received
    assert broken["title"].startswith("events_assets: wrong: events_job failed: GET http://127.0")
    assert "401 Unauthorized: the API does not accept the key; check API_KEY" in broken["text"]
    assert [one["name"] for one in broken["wrong"]] == ["events_job"]
    tick(hours=24), tick()
    _, lasting = webhook.received
    assert lasting["title"].startswith("events_assets: still wrong: events_job failed: ")
    assert lasting["still_wrong"][0]["since"] == broken["wrong"][0]["since"]
    monkeypatch.setenv("API_KEY", "key-of-the-tests")
    assert run().success
    tick(), tick(), tick(hours=24)
    *_, well = webhook.received
    assert len(webhook.received) == 3
    assert well["title"] == "events_assets: no longer wrong: events_job failed"
    assert well["text"].endswith("Nothing is wrong any more.") and "401" not in well["text"]


def test_a_failed_run_is_told_by_mail(serve, run, mailbox, alert, tick, monkeypatch):
    serve([event(1)])
    monkeypatch.setenv("API_KEY", "another-key")
    alert("ui", url="")
    monkeypatch.delenv("SOURCES__EVENTS__ALERTS__UI__URL")
    monkeypatch.setenv("SOURCES__EVENTS__ALERTS__UI", "https://dagster.example.com/")
    run()
    assert tick("email").startswith(f"told ops@example.com by 127.0.0.1:{mailbox.port}: ")
    tick("email")
    (mail,) = mailbox.received
    assert mailbox.logins == [f"events:{PASSWORD}"]
    assert (mail["From"], mail["To"]) == ("events@example.com", "ops@example.com")
    assert mail["Subject"].startswith("events_assets: wrong: events_job failed: GET ")
    assert "401 Unauthorized" in text_of(mail)
    assert "https://dagster.example.com/runs/" in text_of(mail)


def test_what_could_not_be_told_is_told_at_the_next_tick(check, webhook, tick):
    check(passed=False)
    webhook.status = 503
    for _ in range(2):
        with pytest.raises(AlertError) as raised:
            tick()
    assert str(raised.value).startswith("the alert was not sent: HTTPError: the answer is 503 ")
    assert str(raised.value).endswith("; check [sources.events.alerts.webhook]")
    assert TOKEN not in str(raised.value)
    webhook.status = 200
    tick(), tick()
    assert len(webhook.received) == 1


def test_whom_one_way_does_not_reach_another_way_tells_once(check, webhook, mailbox, tick):
    check(passed=False)
    webhook.status = 302  # a redirect would turn the post into a request for a page
    for _ in range(3):
        with pytest.raises(AlertError):
            tick()
        tick("email")
    assert (len(webhook.received), len(mailbox.received)) == (0, 1)


def test_a_failed_check_is_told_with_its_remedy_and_a_warning_where_that_is_wanted(
    check, webhook, tick, monkeypatch
):
    check(passed=False, severity=WARN)
    assert tick() == "nothing is wrong"
    monkeypatch.setenv("SOURCES__EVENTS__ALERTS__WARNINGS", "true")
    tick()
    assert (
        "- the check event_ids_are_unique failed: ids answered twice: 3; is primary_key"
        in (webhook.received[0]["text"])
    )
    check(passed=True)
    tick()
    well = webhook.received[1]["text"]
    assert "No longer wrong\n- the check event_ids_are_unique failed\n  from 20" in well


def test_a_run_that_failed_by_a_check_is_told_as_that_check(serve, run, webhook, tick):
    serve([event(1, end_time="2020-01-01T00:00:00Z")])
    assert not run().success
    tick()
    (wrong,) = webhook.received[0]["wrong"]
    assert wrong["text"].startswith("the check events_end_after_they_start failed: events that end")
    assert "mend them in the API" in wrong["text"]


@pytest.mark.slow
def test_a_check_is_not_well_because_a_later_run_did_not_get_to_it(
    serve, run, webhook, tick, monkeypatch
):
    monkeypatch.setattr(sensors, "EVALUATIONS_SEEN", 1)
    serve([event(1, end_time="2020-01-01T00:00:00Z")])
    assert not run().success
    tick()
    monkeypatch.setenv("API_KEY", "another-key")
    assert not run().success and not run().success
    tick()
    told = webhook.received[1]
    assert [one["name"] for one in told["wrong"]] == ["events_job"]
    assert [one["name"] for one in told["still_wrong"]] == [
        "check events:events_end_after_they_start"
    ]
    assert "well_again" not in told


def test_a_load_that_does_not_come_is_told(instance, webhook, tick, monkeypatch):
    instance.report_runless_asset_event(dg.AssetMaterialization("events"))
    assert tick() == "nothing is wrong"
    monkeypatch.setattr(sensors, "LATE", timedelta(seconds=-60))
    tick(), tick()
    (late,) = webhook.received
    assert late["wrong"][0]["text"].startswith("events is late: it was loaded at 20")
    monkeypatch.undo()


def test_a_table_that_is_not_built_from_what_changed_is_told(instance, webhook, tick, monkeypatch):
    def loaded(version):
        load = dg.AssetMaterialization("events", tags={"dagster/data_version": version})
        instance.report_runless_asset_event(load)

    loaded("1")
    tags = {"dagster/input_data_version/events": "1"}
    instance.report_runless_asset_event(dg.AssetMaterialization("daily_events", tags=tags))
    loaded("1")
    monkeypatch.setattr(sensors, "LATE", timedelta(seconds=-60))
    names = lambda: {one["name"] for one in webhook.received[-1]["wrong"]}  # noqa: E731
    tick()
    assert names() == {"events are late"}
    loaded("2")
    tick()
    assert names() == {"daily_events is late"}
    monkeypatch.undo()


def job_failed(instance, job="events_job", **tags):
    run = instance.create_run_for_job(defs.resolve_job_def(job), tags=tags)
    instance.report_run_failed(run, "the process of the run is gone")
    return run


def test_a_run_whose_process_died_is_told_and_one_that_is_started_again_is_not(
    instance, webhook, tick, monkeypatch
):
    again = job_failed(instance, **{"dagster/will_retry": "true"})
    assert tick() == "nothing is wrong"
    monkeypatch.setattr(sensors, "RETRIED_WITHIN", -1.0)
    assert tick().startswith("told")  # it was to be started again, and never was
    instance.add_run_tags(again.run_id, {"dagster/auto_retry_run_id": "1"})
    assert tick().startswith("told")
    webhook.received.clear()
    run = job_failed(instance)
    tick()
    (wrong,) = webhook.received[0]["wrong"]
    assert wrong["text"] == "events_job failed: the process of the run is gone"
    assert wrong["run_id"] == run.run_id


def test_each_job_has_its_own_trouble_and_a_load_ends_that_of_a_trial(
    serve, run, instance, webhook, tick
):
    job_failed(instance, "check_api_job")
    job_failed(instance, "daily_events_job")
    tick()
    assert {one["name"] for one in webhook.received[0]["wrong"]} == {
        "check_api_job",
        "daily_events_job",
    }
    serve([event(1)])
    assert run().success
    tick()
    told = webhook.received[1]
    assert [one["name"] for one in told["well_again"]] == ["check_api_job"]
    assert [one["name"] for one in told["still_wrong"]] == ["daily_events_job"]


def test_what_failed_by_the_button_is_over_when_its_job_has_done_it(
    serve, run, instance, webhook, tick
):
    keys = {dg.AssetKey("events"), dg.AssetKey("daily_events")}
    button = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection=keys)
    died = instance.create_run_for_job(button, asset_selection=frozenset(keys))
    instance.report_run_failed(died)
    tick()
    assert [one["name"] for one in webhook.received[0]["wrong"]] == [
        "daily_events_job",
        "events_job",
    ]
    serve([event(1)])
    assert run().success
    tick()
    assert [one["name"] for one in webhook.received[1]["well_again"]] == ["events_job"]


def test_the_runs_of_another_code_location_are_not_ours(instance, webhook, monkeypatch):
    job_failed(instance, **{REPOSITORY: "__repository__@theirs"})
    from dagster._core.remote_origin import RegisteredCodeLocationOrigin

    def names(location):
        context = dg.build_sensor_context(
            instance=instance, definitions=defs, repository_name="__repository__"
        )
        context._code_location_origin = RegisteredCodeLocationOrigin(location)
        return [*sensors.found(context, configuration.alert_settings())]

    assert (names("ours"), names("theirs")) == ([], ["events_job"])


def test_a_cursor_that_cannot_be_read_tells_all_again():
    for cursor in (None, "", "7", "[1]", '{"a": 1}', '{"a": {"b": 1}}', "{"):
        assert sensors.told(cursor) == {}


SPELLINGS = [KEY, PASSWORD, TOKEN, quote(KEY), quote(PASSWORD, safe=""), json.dumps(PASSWORD)]


@pytest.mark.parametrize("channel", ["webhook", "email", "slack"])
def test_no_secret_is_in_an_alert_nor_in_why_it_was_not_sent(
    channel, webhook, mailbox, alert, caplog
):
    alert("slack", url=f"http://127.0.0.1:{webhook.port}/services/{TOKEN}")
    alerts.send(channel, Message(f"no {KEY}", "\n".join(SPELLINGS), {"a": [KEY, PASSWORD]}))
    (got,) = mailbox.received if channel == "email" else webhook.received
    text = f"{got['Subject']} {text_of(got)}" if channel == "email" else json.dumps(got)
    assert "[masked]" in text
    told = text
    webhook.status = 500  # it quotes the path
    for setting in ({"port": 1}, {"to": f"{PASSWORD}\n"}):
        alert("email", **setting)
        caplog.set_level(0)
        with pytest.raises(AlertError) as raised:
            alerts.send(channel, alerts.TRIAL)
        told += f"{raised.value!r}{raised.value.__cause__!r}{caplog.text}"
    for secret in (*SPELLINGS, TOKEN.split("/")[-1]):
        assert secret not in told


def test_a_url_with_a_short_token_is_masked_as_a_whole(alert):
    alert("webhook", url="http://127.0.0.1/?key=short1")
    told = alerts.redaction(configuration.alert_settings()).text("no http://127.0.0.1/?key=short1")
    assert told == "no [masked]"


def test_a_token_in_a_header_is_masked_and_the_word_before_it_is_not(alert):
    alert("webhook", url="http://127.0.0.1/", headers='{"Authorization": "Bearer of-news-7"}')
    told = alerts.redaction(configuration.alert_settings()).text("Bearer is of-news-7")
    assert told == "Bearer is [masked]"


def test_an_answer_of_the_api_calls_nobody_in_slack(webhook, alert):
    alert("slack", url=f"http://127.0.0.1:{webhook.port}/services/{TOKEN}")
    alerts.send("slack", Message("wrong", "it says: <!channel> <http://evil|click> \ud800\0"))
    assert webhook.received == [
        {"text": "wrong\nit says: &lt;!channel&gt; &lt;http://evil|click&gt;   "}
    ]


def test_a_mail_with_any_text_is_sent(mailbox):
    alerts.send("email", Message("a\r\nBcc: all@example.com", "\ud800\0\x85 " + "é" * 5000))
    (mail,) = mailbox.received
    assert mail["Bcc"] is None and "é" * 5000 in text_of(mail)


def test_who_is_refused_is_named_where_others_are_told(mailbox, alert):
    mailbox.refused = "gone@example.com"
    alert("email", to='["ops@example.com", "gone@example.com"]')
    where = alerts.send("email", alerts.TRIAL)
    assert where.startswith("ops@example.com by 127.0.0.1:")
    assert "the server refuses gone@example.com: (550, b'nobody here')" in where
    alert("email", to="gone@example.com")
    with pytest.raises(AlertError, match="nobody here"):
        alerts.send("email", alerts.TRIAL)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_password_goes_to_no_server_that_is_not_trusted(mailbox, alert, security, monkeypatch):
    mailbox.with_tls = security == "tls"
    alert("email", security=security)
    with pytest.raises(AlertError, match="certificate verify failed"):
        alerts.send("email", alerts.TRIAL)
    assert (mailbox.logins, mailbox.received) == ([], [])
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    alerts.send("email", alerts.TRIAL)
    assert mailbox.logins and mailbox.received


@pytest.mark.parametrize(
    ("channel", "settings", "told"),
    [
        ("email", {"host": "mail"}, "'from' is missing in sources.events.alerts.email"),
        ("email", {"hots": "mail"}, "did you mean 'host'?"),
        ("slack", {"url": " "}, "alerts.slack.url must be a text that is not empty"),
        ("pager", {"url": "x"}, "unknown 'pager' in sources.events.alerts"),
    ],
)
def test_a_channel_that_is_configured_wrongly_fails_each_tick(alert, tick, channel, settings, told):
    alert(channel, **settings)
    with pytest.raises(ConfigurationError) as raised:
        tick(channel)
    assert told in str(raised.value)


def test_a_secret_that_is_missing_is_asked_for(alert, configure):
    configure("[sources.events.alerts.slack]")
    with pytest.raises(ConfigurationError, match="SOURCES__EVENTS__ALERTS__SLACK__URL"):
        alerts.send("slack", alerts.TRIAL)


def test_the_lines_in_the_documents_are_accepted(project):
    text = (ROOT / "docs" / "alerts.md").read_text()
    config, secrets = re.findall(r"(?s)```toml\n(.*?)```", text)
    for file, lines in (("config.toml", COMMITTED + config), ("secrets.toml", secrets)):
        (project / ".dlt" / file).write_text(lines)
    forget_providers()
    settings = configuration.alert_settings()
    assert settings.channels == [*alerts.SENDERS]
    assert configuration.rest_api_config()
    assert alerts.redaction(settings).text(secrets).count("[masked]") >= 3


def test_check_sends_a_trial_and_says_where_it_went(serve, webhook, mailbox, command):
    serve([event(1)], key=KEY)
    told = " ".join(command("check").output.split())
    assert "a trial was sent to the webhook at 127.0.0.1" in told
    assert "a trial was sent to ops@example.com by 127.0.0.1" in told
    assert (len(webhook.received), len(mailbox.received)) == (1, 1)
    webhook.status = 404
    result = command("check")
    told = " ".join(result.output.split())
    assert result.exit_code == 1 and "the alert was not sent: HTTPError: the answer is 404" in told
    assert told.endswith("is expected to work, but not to tell where it does not: see above.")


def test_a_load_sends_nothing(serve, run, webhook, mailbox):
    serve([event(1)])
    assert run().success
    assert (webhook.connections, mailbox.connections) == (0, 0)


def test_there_are_sensors_for_what_is_configured_and_all_where_that_is_wrong(python, alert):
    def names():
        return [one.name for one in sensors.sensors.load_fn().sensors]

    assert names() == []
    alert("slack", url="http://127.0.0.1:1")
    assert names() == ["alerts_by_slack"]
    told = (
        "from events_assets.definitions import defs\n"
        "print(*sorted(s.name for s in defs.sensors or []))"
    )
    assert python(told).stdout == "alerts_by_slack events_sensor\n"
    alert("slack", ulr="x")
    assert names() == ["alerts_by_email", "alerts_by_slack", "alerts_by_webhook"]
