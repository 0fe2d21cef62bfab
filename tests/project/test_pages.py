"""README.md and docs: Python runs, commands exist, those of the pages on extending run, links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pages import PAGES, README, ROOT, Page

EXTENDING = [page for page in PAGES if page.name.startswith("docs/extend/")]
COMMANDS = [shlex.split(line) for page in PAGES for line in page.commands if line.startswith("jetbench ")]
SUBCOMMANDS = sorted({tuple(words[1 : 3 if words[1] == "report" else 2]) for words in COMMANDS})
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
# Runs the pages one after another in one process, each in names of its own: page -> traceback of those that fail.
RUN_PAGES = """
import json, sys, traceback
failures = {}
for name, script in json.load(open("pages.json")).items():
    try:
        exec(compile(script, name, "exec"), {"__name__": name})
    except BaseException:
        failures[name] = traceback.format_exc()
json.dump(failures, open("failures.json", "w"))
"""


def run(*command: str, cwd: Path, **environment: str) -> str:
    """The output of a command that succeeds; `jetbench` is the one of the tests' own Python."""
    words = [sys.executable, "-m", "jetbench", *command[1:]] if command[0] == "jetbench" else command
    settings = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=300, env=settings)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture
def folder(tmp_path):
    """A folder of the reader's own that has the records and the presets of a checkout."""
    for name in ("results", "workflows"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def write_files(page: Page, folder: Path) -> None:
    for name, content in page.files.items():
        (folder / name).write_text(content, encoding="utf-8")


def test_python_of_the_pages_runs(folder):
    """The blocks of a page are run one after another, as a reader would type them."""
    for page in PAGES:
        write_files(page, folder)
    scripts = {page.name: page.script for page in PAGES if page.script}
    (folder / "pages.json").write_text(json.dumps(scripts), encoding="utf-8")
    (folder / "run_pages.py").write_text(RUN_PAGES, encoding="utf-8")
    assert {"README.md", "docs/switching.md", "docs/use/torch.md", "docs/extend/rule.md"} <= set(scripts)
    run(sys.executable, "run_pages.py", cwd=folder)
    failures = json.loads((folder / "failures.json").read_text())
    assert not failures, "\n".join(f"{name}:\n{failure}" for name, failure in failures.items())


@pytest.mark.long
@pytest.mark.parametrize("page", [page for page in EXTENDING if page.commands], ids=lambda page: page.name)
def test_commands_of_a_page_on_extending_run(page, folder):
    write_files(page, folder)
    for line in page.commands:
        run(*shlex.split(line), cwd=folder)
    lists = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    lists += [list(map(json.loads, path.read_text().splitlines())) for path in folder.glob("own_*/**/*.jsonl")]
    records = [record for records in lists for record in records]
    assert records and {record["status"] for record in records} == {"ok"}, records


def test_every_page_on_extending_has_a_complete_example():
    for page in EXTENDING:
        assert page.script or (page.files and page.commands), page.name
    assert {page.name.split("/")[-1] for page in EXTENDING} == {
        f"{thing}.md" for thing in ("operator", "rule", "method", "study", "figure", "metric")
    }


@pytest.mark.parametrize("subcommand", SUBCOMMANDS, ids=" ".join)
def test_commands_of_the_pages_exist(subcommand):
    """Every option that a page gives to a subcommand is one that it has."""
    shown = run("jetbench", *subcommand, "--help", cwd=ROOT, COLUMNS="200", NO_COLOR="1", TERM="dumb")
    lines = [words[1:] for words in COMMANDS if tuple(words[1 : 1 + len(subcommand)]) == subcommand]
    options = {word for words in lines for word in words if word.startswith("--")}
    missing = [option for option in options if not re.search(rf"{option}\b", shown)]
    assert not missing, f"jetbench {' '.join(subcommand)} has no option {', '.join(missing)}"


def test_make_targets_of_the_pages_exist():
    named = {name for page in PAGES for name in re.findall(r"`make (\w+)", page.text)}
    named |= {name for page in PAGES for line in page.commands for name in re.findall(r"^make (\w+)\b(?!=)", line)}
    named -= {word for page in PAGES for word in re.findall(r"`?make (\w+)=", page.text)}
    assert named and named <= TARGETS


def test_readme_is_a_landing_page():
    assert len(README.text.splitlines()) <= 150
    assert README.commands[:2] == ["make", "make test"]
    assert README.text.count("![") == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_somewhere(page):
    """Pages of docs are also a site, which holds nothing else: what lies outside of docs is named there, not linked."""
    place, site = (ROOT / page.name).parent, ROOT / "docs"
    for link in page.links:
        path, _, anchor = link.partition("#")
        target = (place / path).resolve() if path else ROOT / page.name
        assert target.exists(), link
        assert (site not in place.parents and place != site) or site in target.parents, link
        if anchor and target.suffix == ".md":
            assert anchor in Page(target.relative_to(ROOT).as_posix()).anchors, link
