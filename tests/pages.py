"""The pages that readers see, README.md and docs, taken apart: blocks of code, files, commands and links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Page:
    """A page in Markdown. Blocks that begin with `# file: NAME` are files that the page asks its reader to write."""

    name: str

    @cached_property
    def text(self) -> str:
        return (ROOT / self.name).read_text(encoding="utf-8")

    def blocks(self, language: str) -> list[str]:
        """The fenced blocks of a language, in order."""
        return re.findall(rf"^```{language}\n(.*?)^```", self.text, flags=re.MULTILINE | re.DOTALL)

    @property
    def files(self) -> dict[str, str]:
        """Name → content of the files that the page shows."""
        shown = [block for language in ("python", "yaml") for block in self.blocks(language)]
        named = [re.match(r"# file: (\S+)\n", block) for block in shown]
        return {match[1]: block for match, block in zip(named, shown, strict=True) if match}

    @property
    def script(self) -> str:
        """The blocks of Python that are not files, one after another, as a reader would type them."""
        return "\n".join(block for block in self.blocks("python") if not block.startswith("# file: "))

    @property
    def commands(self) -> list[str]:
        """The lines of the blocks of bash, continued lines joined, without comments."""
        lines = "\n".join(self.blocks("bash")).replace("\\\n", " ").splitlines()
        return [bare for line in lines if (bare := re.split(r"\s#|^#", line)[0].strip())]

    @property
    def links(self) -> list[str]:
        """Targets of links and pictures, without those that lead into the web."""
        prose = re.sub(r"^```.*?^```", "", self.text, flags=re.MULTILINE | re.DOTALL)
        found = re.findall(r"\]\(([^)\s]+)\)", prose)
        return [link for link in found if not link.startswith(("http:", "https:", "mailto:"))]

    @property
    def anchors(self) -> set[str]:
        """The anchors of the headings, as GitHub and the site make them."""
        prose = re.sub(r"^```.*?^```", "", self.text, flags=re.MULTILINE | re.DOTALL)
        titles = re.findall(r"^#+ (.+)$", prose, flags=re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


ROOT_PAGES = [Page(path.name) for path in sorted(ROOT.glob("*.md"))]
DOCS_PAGES = [Page(path.relative_to(ROOT).as_posix()) for path in sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [*ROOT_PAGES, *DOCS_PAGES]
README = Page("README.md")
