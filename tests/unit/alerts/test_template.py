"""What a webhook is sent."""

from pathlib import Path

import orjson
import pytest

from tests.unit.alerts.made import START, alert
from xds_server.alerts.sinks.template import BUILT_IN, Shape, shape_of, values
from xds_server.errors import InvalidError

NASTY = 'a "quoted" \\ $text ${status}\n</script> <!channel> & 😀'


def test_slack_gets_its_shape_and_nothing_that_calls_a_channel() -> None:
    one = alert(endpoint="GET /")
    one = type(one)(one.labels, {"summary": NASTY}, one.starts_at)
    (attachment,) = orjson.loads(shape_of("slack").body([one]))["attachments"]
    assert attachment["color"] == "danger"
    assert "<!channel>" not in attachment["text"] + attachment["title"]
    assert "&lt;!channel&gt; &amp;" in attachment["text"]


def test_the_generic_shape_has_everything_of_each_alert() -> None:
    posted = orjson.loads(shape_of("generic").body([alert(field="$.a"), alert(field="$.b", ended=START + 60)]))
    assert [a["status"] for a in posted["alerts"]] == ["firing", "resolved"]
    assert posted["alerts"][0]["labels"]["field"] == "$.a"
    assert posted["alerts"][1]["endsAt"] > posted["alerts"][1]["startsAt"]
    assert posted["title"] == "2 alerts: 1 firing, 1 resolved"


def test_values_cannot_break_out_of_the_template_of_a_user() -> None:
    one = alert(endpoint=NASTY)
    body = Shape('{"where": $endpoint, "cost": "$$5", "sev": ${severity}}', name="mine").body([one])
    assert orjson.loads(body) == {"where": NASTY, "cost": "$5", "sev": "warning"}


def test_a_label_that_several_alerts_do_not_share_is_empty() -> None:
    found = values([alert(field="$.a"), alert(field="$.b")])
    assert (found["field"], found["component"]) == ("", "catalog")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"text": $txt}', r"\$txt is not known"),
        ('{"text": "$text"}', "does not make JSON.*write \\$text"),
        ('{"text": $text', "does not make JSON"),
        ('{"text": "5 $"}', "a \\$ that begins no name"),
        ("", "does not make JSON"),
    ],
)
def test_a_template_that_cannot_be_right_is_one_clear_error(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "mine.json").write_text(text)
    with pytest.raises(InvalidError, match=told) as refused:
        shape_of(str(tmp_path / "mine.json"))
    assert "\n" not in str(refused.value)


def test_a_template_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name in ("nowhere", "binary"):
        with pytest.raises(InvalidError, match=r"webhook_template.*slack, generic, or a file"):
            shape_of(str(tmp_path / name))


def test_every_built_in_shape_is_right() -> None:
    for name in BUILT_IN:
        shape_of(name)
