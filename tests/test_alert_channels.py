"""A message arrives unchanged, is believed only with its signature, shows no secret and obeys no hostile name."""

from __future__ import annotations

import json
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchproof.alerts import channels, message, webhook
from benchproof.alerts.findings import Subject
from benchproof.alerts.news import News
from benchproof.alerts.rules import Channel, Hidden
from benchproof.alerts.state import Incident
from benchproof.errors import NotDelivered
from receivers import Mailbox, receiver

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # which apprise has a use for
ROOT = Path(__file__).parent.parent
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRET = "a secret of the two of us"  # noqa: S105 - of this file
HOSTILE = "<!channel> @here [pay](https://evil.example) *b* `c`\n\r\nBcc: x\u202e & <img src=x>"


def news(count=1, name="syscall.getpid"):
    subjects = [Subject(name, f"{name}.latency", f"linux{n}") for n in range(count)]
    made = [
        Incident(rule="r", subject=each, name=each.called(""), mode="gate", since="2026-11-21", text="+8 %")
        for each in subjects
    ]
    return [News("opened", each, 1) for each in made]


def a_message(*given):
    return message.of("lab 1", *(given or [news()]), NOW)


def signed(url, secret=SECRET):
    return Channel(name="team", webhook=Hidden(text=url), secret=Hidden(text=secret))


def by_apprise(address):
    return Channel(name="team", apprise=Hidden(text=address))


def test_a_webhook_is_signed_and_what_was_tampered_with_is_not_believed():
    with receiver() as server:
        channels.send(signed(server.url), a_message(), now=NOW)
    ((path, headers, body),) = server.requests
    assert path == "/hooks/s3cretpath"
    document = json.loads(body)
    assert document["title"] == "lab 1: 1 worse"
    assert document["events"][0]["metric"] == "syscall.getpid.latency"
    given = {"timestamp": headers[webhook.TIMESTAMP], "signature": headers[webhook.SIGNATURE], "body": body}
    sent_s = NOW.timestamp()
    assert webhook.verify(SECRET.encode(), **given, now_s=sent_s + 10)
    assert not webhook.verify(b"another secret of nobody", **given, now_s=sent_s)
    assert not webhook.verify(SECRET.encode(), **given, now_s=sent_s + webhook.TOLERANCE_S + 1)
    for change in (
        {"body": body.replace(b"getpid", b"getuid")},
        {"timestamp": str(int(sent_s) + 1)},
        {"signature": given["signature"][:-1] + ("0" if given["signature"][-1] != "0" else "1")},
        {"signature": ""},
        {"signature": "sha256=\N{GREEK SMALL LETTER MU}"},
        {"timestamp": "now"},
        {"timestamp": "9" * 400},
    ):
        assert not webhook.verify(SECRET.encode(), **given | change, now_s=sent_s), change


def test_the_check_in_the_documentation_is_the_check(monkeypatch):
    (text,) = re.findall(r"```python webhook\n(.*?)```", (ROOT / "docs" / "alerts.md").read_text(), re.DOTALL)
    monkeypatch.setattr(time, "time", NOW.timestamp)
    names = {}
    exec(text, names)  # noqa: S102 - of our own page
    stamp, body = int(NOW.timestamp()), b'{"a": 1}'
    headers = {webhook.TIMESTAMP: str(stamp), webhook.SIGNATURE: webhook.sign(SECRET.encode(), stamp, body)}
    assert names["is_ours"](SECRET.encode(), headers, body)
    assert not names["is_ours"](SECRET.encode(), headers, body + b" ")
    assert not names["is_ours"](SECRET.encode(), headers | {webhook.TIMESTAMP: str(stamp - 301)}, body)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(status):
    with receiver() as server, receiver() as other:
        server.status, server.headers = status, {"Location": other.url}
        with pytest.raises(NotDelivered, match=f"answered {status}"):
            channels.send(signed(server.url), a_message(), now=NOW)
    assert other.requests == []


def test_who_never_answers_is_given_up():
    with receiver() as server:
        server.silent.set()
        with pytest.raises(NotDelivered, match=r"no answer in 0.1 s"):
            channels.send(signed(server.url), a_message(), now=NOW, patience_s=0.1)


def test_apprise_brings_the_words_to_a_service_of_its_kind():
    with receiver() as server:
        channels.send(by_apprise(f"json://127.0.0.1:{server.port}/hook"), a_message(), now=NOW)
        channels.send(
            by_apprise(f"mmost://127.0.0.1:{server.port}/3ccdd113474722377935511fc85d3dd4"), a_message(), now=NOW
        )
    plain, chat = (json.loads(body) for _, _, body in server.requests)
    assert plain["title"] == "lab 1: 1 worse"
    assert "WORSE syscall.getpid.latency of linux0 (r), since 2026-11-21: +8 %" in plain["message"]
    assert "syscall.getpid.latency of linux0" in chat["text"]


def test_a_mail_has_the_words_and_no_header_that_a_name_brought():
    with receiver(Mailbox) as box:
        address = f"mailto://127.0.0.1:{box.port}?from=lab@example.org&to=team@example.org&mode=insecure"
        channels.send(by_apprise(address), message.of("lab 1\r\nBcc: x", news(name=HOSTILE), NOW), now=NOW)
    (letter,) = box.letters
    head, _, body = letter.partition("\r\n\r\n")
    assert "Subject: lab 1 Bcc: x: 1 worse" in head
    assert not [line for line in head.splitlines() if line.startswith("Bcc")]
    assert "latency of linux0 (r), since 2026-11-21" in body.replace("=\r\n", "")


def test_a_hostile_name_mentions_nobody_links_nowhere_and_breaks_no_line():
    made = a_message(news(name=HOSTILE))
    with receiver() as server:
        channels.send(by_apprise(f"mmost://127.0.0.1:{server.port}/3ccdd113474722377935511fc85d3dd4"), made, now=NOW)
        channels.send(signed(server.url), made, now=NOW)
    chat, document = (json.loads(body) for _, _, body in server.requests)
    for text in (chat["text"], document["text"], made.title):
        assert not any(sign in text for sign in ("<", ">", "@", "`", "*", "&", "](", "://", "\u202e"))
    assert len(made.text.splitlines()) == 1
    assert document["events"][0]["benchmark"] == HOSTILE, "a program is told what it is"


def test_without_that_care_the_same_name_would_have_done_it(monkeypatch):
    monkeypatch.setattr(message, "plain", str)
    assert "<!channel> @here" in a_message(news(name=HOSTILE)).text


def test_a_flood_is_one_message_of_bounded_length_that_says_how_much_more_there_is():
    made = a_message(news(1000, name="b" * 5000))
    assert len(made.text.splitlines()) == message.MOST_LINES + 1
    assert "and 980 more" in made.text
    assert len(made.text) < 20_000
    assert (len(made.document["events"]), made.document["left_out"]) == (message.MOST_EVENTS, 800)


@pytest.mark.parametrize(
    "channel",
    [
        signed("http://127.0.0.1:1/hooks/s3cretpath"),
        signed("http://s3cret:s3cretpath@127.0.0.1:1/"),
        signed("http://127.0.0.1:1/", "s3cretpath"),
        signed("nonsense s3cretpath"),
        by_apprise("json://user:s3cretpath@127.0.0.1:1/s3cretpath"),
        by_apprise("nonsense://s3cretpath"),
        by_apprise("s3cretpath"),
    ],
)
def test_no_secret_is_in_any_word_about_a_failure(channel, capfd, caplog):
    with pytest.raises(NotDelivered, match="channel 'team'") as failed:
        channels.send(channel, a_message(), now=NOW)
    said = [str(failed.value), repr(failed.value.__cause__), *capfd.readouterr(), caplog.text]
    assert not any("s3cret" in each for each in said)


def test_a_secret_that_is_not_there_is_said_by_the_name_of_its_place(tmp_path, monkeypatch):
    monkeypatch.delenv("NO_SUCH", raising=False)
    file = tmp_path / "secret"
    places = [(Hidden(env="NO_SUCH"), "the variable NO_SUCH"), (Hidden(file=file), "No such file")]
    for place, said in places:
        with pytest.raises(NotDelivered, match=said):
            channels.send(Channel(name="team", webhook=Hidden(text="http://h/"), secret=place), a_message(), now=NOW)
    file.write_text("x" * 5000)
    with pytest.raises(NotDelivered, match="at most 4096"):
        places[1][0].reveal()
    file.write_text(f" {SECRET}\n")
    assert places[1][0].reveal() == SECRET


def test_without_apprise_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(NotDelivered, match=r"pip install 'benchproof\[alerts\]'"):
        channels.send(by_apprise("json://127.0.0.1:1/"), a_message(), now=NOW)
