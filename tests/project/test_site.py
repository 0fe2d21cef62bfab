"""The documentation as a site: it builds without warnings, loads nothing from the network, links lead somewhere."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

from pages import DOCS_PAGES, ROOT

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        importlib.util.find_spec("mkdocs") is None,
        reason="no mkdocs here to build the documentation; `make setup` installs it",
    ),
]
BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--allow-file-access-from-files"]
FLAGS += ["--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND"]
#: Shows every page in a frame of its own; when all are loaded, it lists what each of them shows.
LOOK = """<!doctype html><title>all pages</title><pre id=seen></pre>FRAMES<script>
addEventListener("load", () => {
  for (const frame of document.querySelectorAll("iframe")) {
    const inside = frame.contentDocument;
    const broken = [...inside.images].filter(image => !image.naturalWidth).length;
    const styled = frame.contentWindow.getComputedStyle(inside.querySelector(".md-main")).flexGrow;
    const title = inside.querySelector("article h1").textContent.length;
    seen.textContent += [frame.getAttribute("src"), title, broken, styled].join("|") + "\\n";
  }
  seen.textContent += "all seen";
});
</script>"""
FRAME = '<iframe width=1200 height=800 src="{}"></iframe>'


class Links(HTMLParser):
    """What a page of the site refers to, what it loads, and the anchors that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list) -> None:
        given = dict(attributes)
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag in ("script", "img", "iframe", "source") and given.get("src"):
            self.loads.append(given["src"])
        if tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload", "preconnect"):
            self.loads.append(given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    settings = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=300, env=settings)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def parsed(site):
    """Path below the site → its links and anchors; the page for wrong addresses is left out."""
    pages = {}
    for path in sorted(site.rglob("*.html")):
        if path.name != "404.html":
            pages[path.relative_to(site).as_posix()] = parser = Links()
            parser.feed(path.read_text(encoding="utf-8"))
    return pages


def test_every_page_is_built(parsed):
    assert {page.name.removeprefix("docs/").replace(".md", ".html") for page in DOCS_PAGES} == set(parsed)


def test_links_of_the_site_lead_somewhere(site, parsed):
    wrong = []
    for name, page in parsed.items():
        for link in page.links:
            if link.startswith(("http:", "https:", "mailto:")):
                continue
            path, _, anchor = unquote(link).partition("#")
            target = ((site / name).parent / path).resolve() if path else site / name
            target = target / "index.html" if target.is_dir() else target
            known = parsed.get(os.path.relpath(target, site))
            if not target.exists() or (anchor and known is not None and anchor not in known.anchors):
                wrong.append((name, link))
    assert not wrong


def test_nothing_is_loaded_from_the_network(site, parsed):
    loads = [(name, source) for name, page in parsed.items() for source in page.loads]
    assert len(loads) > len(parsed)
    assert not [each for each in loads if re.match(r"(https?:)?//", each[1])]
    assert not [(name, source) for name, source in loads if not ((site / name).parent / source.split("?")[0]).exists()]
    for path in site.rglob("*.css"):
        assert not re.search(r"@import|url\(\s*[\"']?(https?:)?//", path.read_text(encoding="utf-8")), path.name


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_the_reference_describes_every_public_name(site, backend):
    import importlib

    text = (site / "api" / f"{backend}.html").read_text(encoding="utf-8")
    module = importlib.import_module(f"jetbench.{backend}")
    assert not [name for name in module.__all__ if name not in text]
    assert "Parameters" in text and "Returns" in text and "Raises" in text


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here to look at the site with; .ci/run installs it")
def test_a_browser_shows_every_page_without_errors(site, parsed, tmp_path):
    viewer = site / "all_pages.html"
    viewer.write_text(LOOK.replace("FRAMES", "".join(map(FRAME.format, sorted(parsed)))), encoding="utf-8")
    command = [BROWSER, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", f"file://{viewer}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    viewer.unlink()
    assert done.returncode == 0, done.stderr[-2000:]
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    seen = [
        line.split("|")
        for line in re.findall(r"^[\w/.-]+\.html\|.*$", done.stdout.replace('<pre id="seen">', "\n"), re.MULTILINE)
    ]
    assert "all seen" in done.stdout and sorted(line[0] for line in seen) == sorted(parsed)
    assert all(int(title) > 0 and broken == "0" and styled == "1" for _, title, broken, styled in seen), seen
