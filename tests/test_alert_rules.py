"""What is watched and who is told makes sense, or is refused with what was expected, and no secret in the words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchproof.alerts import rules
from benchproof.errors import UsageError

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected at least one table"),
        ("[rules.a]\n", "expected one of worse, gates, no_run_for, found none"),
        ('[rules.a]\nworse = "5 %"\ngates = "plan"\n', "found worse and gates"),
        ('[rules.a]\nworse = "5"\n', "expected a share"),
        ('[rules.a]\nworse = "lots"\n', "expected an amount"),
        ('[rules.a]\nworse = "5 %"\nmode = "gat"\n', "did you mean 'gate'"),
        ('[rules.a]\nworst = "5 %"\n', "did you mean 'worse'"),
        ('[rules.a]\nworse = "5 %"\nagainst = "main"\n', "expected trend, branch:main"),
        ('[rules.a]\ngates = "plan"\nagainst = "last"\n', "against: expected worse"),
        ('[rules.a]\ngates = "plan"\nsince = "2026"\n', "since: expected a rule on the trend"),
        ('[rules.a]\ngates = "no.toml"\n', "no.toml"),
        ('[rules.a]\nworse = "5 %"\nsince = "May"\n', "expected a day such as"),
        (
            '[rules.a]\nworse = "5 %"\nchannels = ["tem"]\n[channels.team]\napprise = "json://h"\n',
            "did you mean 'team'",
        ),
        ('[channels.a]\n[rules.a]\nworse = "5 %"\n', "expected either webhook or apprise"),
        ('[channels.a]\nwebhook = "https://h/"\n[rules.a]\nworse = "5 %"\n', "secret: expected one such as"),
        (
            '[channels.a]\nwebhook = "ftp://h/p4th"\nsecret = { env = "S" }\n[rules.a]\nworse = "5 %"\n',
            "channels.a: webhook: expected an address",
        ),
        (
            '[channels.a]\nwebhook = "https://h/"\nsecret = { text = "t" }\n[rules.a]\nworse = "5 %"\n',
            'expected { env = "NAME" }',
        ),
        ('[channels.a]\nwebhook = "https://h/"\nsecret = "t"\n[rules.a]\nworse = "5 %"\n', "secret: Expected"),
    ],
)
def test_rules_that_make_no_sense_are_refused_before_anything_is_judged(tmp_path, text, said):
    path = tmp_path / "alerts.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as refused:
        rules.load(path)
    assert said in str(refused.value)
    assert "p4th" not in str(refused.value)


def test_the_rules_in_the_documentation_make_sense(tmp_path):
    (text,) = re.findall(r"```toml alerts\n(.*?)```", (ROOT / "docs" / "alerts.md").read_text(), re.DOTALL)
    (tmp_path / "alerts.toml").write_text(text)
    found = rules.load(tmp_path / "alerts.toml")
    assert [each.mode for each in found.rules] == ["gate", "review", "gate", "gate"]
