"""Two whole verdicts as REST shows them; UPDATE_GOLDEN=1 rewrites the files."""

import json
import os
from pathlib import Path

import pytest

from tests.unit.analysis.verdict.cases import DEFAULTS, NOW, Seen, arm_pair, blocks, case, profile, version
from xds_server.analysis.statistics.paired import Paired
from xds_server.analysis.verdict.case import Case, State
from xds_server.analysis.verdict.judge import judge
from xds_server.analysis.verdict.readings import Reading

EXAMPLES = Path(__file__).parent / "examples"


def _counters(total: int, failed: int, overflow: int) -> dict[str, int]:
    return {
        "upstream_rq_total": total,
        "upstream_rq_5xx": failed,
        "upstream_rq_retry": 0,
        "upstream_rq_pending_overflow": overflow,
        "upstream_cx_connect_fail": 0,
    }


def failing() -> Case:
    found = version(
        {
            "GET /items/{id}": Seen(
                2604,
                up=109,
                down=2,
                both=3,
                differing=190,
                times=60,
                ratio=1.54,
                fields={("/price", "type"): (177, 0, 1), ("x-cache", "header"): (22, 0, 2)},
                missing=9,
            ),
            "GET /cart": Seen(1570, up=3, down=3, differing=1, times=60, faulted=(120, 20, 23, 14), slow=0.037),
            "POST /orders": Seen(612, up=2, down=1, times=20, missing=3),
            "GET /health": Seen(24),
        },
        lost={"overflow": 9, "unpaired_original": 12},
    )
    evidence = profile(
        found,
        arms={"plain": (9620, 20), "mirrored": (9641, 20)},
        arm_pairs=[arm_pair("plain", "mirrored", Paired(9620, 19, 20), times=80)],
    )
    return case(
        evidence=evidence,
        checks=DEFAULTS,
        percentage=0.5,
        readings={
            ("memory", "v2"): Reading(
                None, 91226112.0, reason="the original's process is not known, so its memory cannot be measured"
            )
        },
        envoy={
            "original": _counters(9641, 20, 0),
            "variants": {"v2": _counters(4813, 117, 9)},
            "reason": "",
        },
        faulted=True,
    )


def passing() -> Case:
    found = version(
        {
            "GET /items/{id}": Seen(2120, up=2, down=2, trios=2120, quiet_up=2, quiet_down=1, control_times=60),
            "GET /cart": Seen(1280, up=1, down=1, trios=1280, quiet_up=1, control_times=60, missing=1),
            "POST /orders": Seen(820, trios=820, control_times=50),
            "GET /health": Seen(20, trios=20),
        },
        lost={"unpaired_original": 1},
        ratio=1.02,
    )
    readings = {
        ("cpu", "v2"): Reading(4.1, 4.2, blocks(1.02, 98), blocks=98, of="control"),
        ("memory", "v2"): Reading(88080384.0, 91226112.0, blocks(1.04, 98), blocks=98, of="control"),
    }
    envoy = {"original": _counters(4241, 3, 0), "variants": {"v2": _counters(4241, 3, 0)}, "reason": ""}
    return case(found, checks=DEFAULTS, controlled=True, readings=readings, envoy=envoy)


@pytest.mark.parametrize(("name", "of"), [("fail", failing()), ("pass", passing())])
def test_a_verdict_is_shown_as_it_was_written_down(name: str, of: Case) -> None:
    verdict, _ = judge(of, State("", NOW))
    assert str(verdict.decision) == name.upper()
    path = EXAMPLES / f"{name}.json"
    text = json.dumps(verdict.as_json(), indent=2) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def test_json_has_no_number_that_json_does_not_know() -> None:
    open_ended, _ = judge(case(version({"GET /": Seen(300, times=1)}), checks=DEFAULTS), State())
    json.dumps(open_ended.as_json(), allow_nan=False)


def test_the_state_survives_its_json_form() -> None:
    _, state = judge(failing(), State())
    assert state.variants["v2"].rows
    assert State.from_json(json.loads(json.dumps(state.as_json()))) == state


def test_the_same_case_and_state_give_the_same_verdict() -> None:
    first, state = judge(failing(), State())
    again, same = judge(failing(), state)
    assert (again, same) == (first, state)
