import json

import pytest

from tests.cli.shell import Invoke

pytestmark = [pytest.mark.slow, pytest.mark.model]


def test_people_see_who_supervises_whom(invoke: Invoke) -> None:
    done = invoke("tree")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith("└─ runtime")
    assert any("ModelActor" in line and "READY" in line for line in lines)


def test_machines_get_the_same_tree(invoke: Invoke) -> None:
    (runtime,) = json.loads(invoke("tree", "--json").out)["tree"]
    assert runtime["id"] == "runtime"
    assert "models" in [child["id"] for child in runtime["children"]]
