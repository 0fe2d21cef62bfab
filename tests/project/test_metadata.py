"""What describes the project to people and archives: one name, version, license and paper everywhere."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
CODEMETA = json.loads((ROOT / "codemeta.json").read_text(encoding="utf-8"))
ZENODO = json.loads((ROOT / ".zenodo.json").read_text(encoding="utf-8"))
PAPER = CITATION["references"][0]


def test_name_version_and_license_are_the_same():
    assert {CITATION["title"], CODEMETA["name"], ZENODO["title"]} == {PROJECT["name"]}
    assert {CITATION["version"], CODEMETA["version"], ZENODO["version"]} == {PROJECT["version"]}
    assert {CITATION["license"], CODEMETA["license"].rpartition("/")[2], ZENODO["license"]} == {PROJECT["license"]}


def test_authors_and_keywords_are_the_same():
    names = [author["name"] for author in PROJECT["authors"]]
    for authors in (CITATION["authors"], CODEMETA["author"], ZENODO["creators"]):
        assert [author["name"] for author in authors] == names
    assert CITATION["keywords"] == CODEMETA["keywords"] == ZENODO["keywords"]


def test_descriptions_are_the_same():
    assert CODEMETA["description"] == ZENODO["description"] == " ".join(CITATION["abstract"].split())


def test_the_paper_is_the_same():
    (related,) = ZENODO["related_identifiers"]
    assert related["identifier"] == PAPER["identifiers"][0]["value"]
    assert CODEMETA["referencePublication"] == {
        "@type": "ScholarlyArticle",
        "name": PAPER["title"],
        "url": PAPER["url"],
    }


def test_requirements_are_the_same():
    assert CODEMETA["softwareRequirements"] == PROJECT["dependencies"]
    assert CODEMETA["runtimePlatform"].removeprefix("Python ") == re.sub(r"^>=", ">= ", PROJECT["requires-python"])


def test_forms_and_hooks_are_yaml_and_call_what_is_there():
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert (
        all({"name", "description", "body"} <= set(yaml.safe_load(form.read_text("utf-8"))) for form in forms) and forms
    )
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert ".ci/run" in commands and all((ROOT / command).is_file() for command in commands)
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert repository["repo"] == "local" and {hook["language"] for hook in repository["hooks"]} == {"system"}
