"""Which parts of a machine's description are settings, and which differences make records incomparable."""

import json
from pathlib import Path

import pytest

from jetbench.measure import changes, machine
from jetbench.measure.backends import torch as measuring
from jetbench.measure.changes import SETTINGS, differences, sentence, setting

OLD = {
    "id": "a",
    "device": "cpu",
    "cpu": {"model": "m", "cores": 2},
    "gpus": [],
    "versions": {"jetbench": "0.1.0", "torch": "2.13.0"},
    "environment": {"OMP_NUM_THREADS": "2"},
    "backend": {"threads": 2, "mkl": True},
}


def changed(part: str, **entries) -> dict:
    return {**OLD, "id": "b", part: {**OLD[part], **entries}}


@pytest.mark.parametrize(
    "new",
    [
        changed("cpu", temperature_c=51),
        changed("backend", allocator_bytes=5),
        changed("backend", deterministic=False),
        changed("versions", folx="0.2.30"),
        changed("versions", jetbench="0.2.0"),
        {**OLD, "load": [0.1, 0.2], "code": {"commit": "c"}},
        {**OLD, "system": "Linux 6"},
    ],
    ids=["metric", "metric of the backend", "new setting", "new package", "own version", "new part", "new single"],
)
def test_a_new_key_leaves_earlier_records_comparable(new):
    assert differences(OLD, new) == differences(new, OLD) == {}
    assert sentence({"a": OLD}, new) is None


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (changed("versions", torch="2.14.0"), {"torch": ("2.13.0", "2.14.0")}),
        (changed("environment", XLA_FLAGS="x"), {"XLA_FLAGS": (None, "x")}),
        (changed("backend", threads=4), {"threads": (2, 4)}),
        (changed("cpu", cores=4), {"cores": (2, 4)}),
    ],
)
def test_another_value_of_a_setting_is_another_setting(new, expected):
    assert differences(OLD, new) == expected
    assert setting(OLD) != setting(new)
    assert "another setting" in sentence({"a": OLD}, new)


def test_every_key_of_a_description_is_a_setting_or_known_not_to_be_one():
    """Whoever adds a key decides: a setting is named in SETTINGS, anything else here."""
    told = {"id", "name", "code", "described_at", "versions.jetbench"}
    described = machine.describe("cpu", measuring.description("cpu"))
    paths = sorted(Path(__file__).parents[2].glob("results/*/machine.json"))
    earlier = [each for path in paths for each in json.loads(path.read_text("utf-8")).values()]
    assert earlier
    compared = {"device", "system", "python"} | {f"{part}.{name}" for part, names in SETTINGS.items() for name in names}
    for description in (described, *earlier):
        assert names_of(description) <= compared | told


def names_of(description: dict) -> set[str]:
    found = set()
    for part, entry in description.items():
        entries = entry if isinstance(entry, list) else [entry]
        for each in entries:
            found |= {f"{part}.{name}" for name in each} if isinstance(each, dict) and part != "code" else {part}
    return found


def test_the_share_of_its_host_is_no_setting_of_a_gpu():
    on_gpu = {**OLD, "device": "cuda", "gpus": [{"name": "g", "driver": "1"}]}
    assert differences(on_gpu, {**on_gpu, "cpu": {"model": "m", "cores": 16}, "backend": {"threads": 16}}) == {}
    assert list(differences(on_gpu, {**on_gpu, "gpus": [{"name": "g", "driver": "2"}]})) == ["driver"]
    assert changes.framework(OLD) == "torch"
