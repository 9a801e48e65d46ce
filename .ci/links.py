"""Check every link of the site and of the Markdown files that are read on their own (`make docs`).

    python .ci/links.py build/site

Internal links, with their anchors, must lead somewhere. External ones are asked for where the network is open: a page
that says it is gone fails; one that does not answer, or refuses a program, is told and passes. Where most hosts cannot
be reached the network is a closed one, whose other hosts may be stand-ins; that is told, loudly.
"""

from __future__ import annotations

import asyncio
import re
import sys
import urllib.error
import urllib.request
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

ROOT = Path(__file__).parents[1]
#: Markdown that is read where it lies, and not as a page of the site.
ALONE = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/*.md", "examples/*/README.md")
TIMEOUT = 10.0
AT_ONCE = 8
GONE = (404, 410)
#: Names for use in examples (RFC 2606, RFC 6761): nobody is there.
EXAMPLES = re.compile(r"(?:^|\.)(?:example(?:\.(?:com|net|org))?|test|invalid|localhost|local)$|^127\.")


class Page(HTMLParser):
    """The anchors and links of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Of `HTMLParser`."""
        for name, value in attrs:
            if value is None:
                continue
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value)
            elif name in ("href", "src"):
                self.links.append(value)


class Markdown:
    """The same of a Markdown file; anchors as forges make them of headings."""

    def __init__(self, text: str) -> None:
        text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
        text = re.sub(r"^    .*$", "", text, flags=re.MULTILINE)
        self.anchors = {anchor(title) for title in re.findall(r"^#+ +(.*)$", text, re.MULTILINE)}
        text = re.sub(r"`[^`]*`", "", text)
        self.links = re.findall(r"\]\(([^()\s]*(?:\([^()\s]*\)[^()\s]*)*)\)", text) + re.findall(
            r"<(https?://[^>]*)>", text
        )


def anchor(title: str) -> str:
    """What a heading is linked by."""
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title)
    return re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")


def read(path: Path) -> Page | Markdown:
    """A page, by its kind."""
    text = path.read_text(encoding="utf-8")
    return Markdown(text) if path.suffix == ".md" else Page(text)


def check_internal(paths: list[Path], root: Path) -> tuple[list[str], dict[str, list[str]]]:
    """Faults of internal links; and the external ones, each with the pages that have it.

    Args:
        paths: of the pages.
        root: above which no link may lead.
    """
    pages = {path: read(path) for path in paths}
    faults: list[str] = []
    external: dict[str, list[str]] = defaultdict(list)
    for path, page in pages.items():
        where = path.relative_to(root).as_posix()
        for link in page.links:
            scheme = urlsplit(link).scheme
            if scheme in ("http", "https"):
                external[urldefrag(link).url].append(where)
            if scheme or link.startswith("//"):
                continue
            target, fragment = urldefrag(link)
            found = (path.parent / unquote(target.partition("?")[0])).resolve() if target else path
            if not found.is_relative_to(root) or not found.exists():
                faults.append(f"{where}: {link} leads nowhere")
                continue
            if found.is_dir() or not fragment or found.suffix not in (".html", ".md"):
                continue
            if unquote(fragment) not in (pages.get(found) or read(found)).anchors:
                faults.append(f"{where}: {link} leads to no place on its page")
    return faults, external


def ask(url: str) -> tuple[int, str]:
    """The status that a URL answers with, 0 for none; and in words."""
    request = urllib.request.Request(url, headers={"User-Agent": "rtcpeer link check"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return answer.status, "answers"
    except urllib.error.HTTPError as error:
        return error.code, f"answers {error.code}"
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return 0, f"does not answer ({reason})"


async def ask_all(urls: list[str]) -> dict[str, tuple[int, str]]:
    """The answers of all URLs."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(url: str) -> tuple[int, str]:
        async with limit:
            return await asyncio.to_thread(ask, url)

    return dict(zip(urls, await asyncio.gather(*map(one, urls)), strict=True))


def check_external(external: dict[str, list[str]]) -> tuple[list[str], list[str]]:
    """Faults, and what could not be judged."""
    urls = sorted(url for url in external if not EXAMPLES.search(urlsplit(url).hostname or ""))
    if not urls:
        return [], []
    # one of each host first: a closed network is told once, and costs one timeout
    firsts = {urlsplit(url).netloc: url for url in reversed(urls)}
    answers = asyncio.run(ask_all(sorted(firsts.values())))
    silent = sum(not status for status, _ in answers.values())
    if 2 * silent > len(firsts):
        reason = f"{silent} of their {len(firsts)} hosts cannot be reached from here"
        return [], [f"*** {len(urls)} external links NOT CHECKED: {reason}"]
    alive = {urlsplit(url).netloc for url, (status, _) in answers.items() if status}
    answers |= asyncio.run(
        ask_all([url for url in urls if url not in answers and urlsplit(url).netloc in alive])
    )
    faults, doubts = [], []
    for url in urls:
        status, words = answers.get(url, (0, "is at a host that does not answer"))
        if status in GONE:
            faults.append(f"{', '.join(sorted(set(external[url])))}: {url} {words}")
        elif not 200 <= status < 400:
            doubts.append(f"*** NOT CHECKED: {url} {words}")
    return faults, doubts


def main(arguments: list[str]) -> int:
    """Check the site in the folder that is named."""
    site = Path(arguments[0]).resolve()
    pages = [path for path in sorted(site.rglob("*.html")) if "_static" not in path.relative_to(site).parts]
    if not pages:
        print(f"links: there is no site in {site}")
        return 1
    alone = [path for pattern in ALONE for path in sorted(ROOT.glob(pattern))]
    faults, external = check_internal(pages, site)
    more, others = check_internal(alone, ROOT)
    for url, where in others.items():
        external.setdefault(url, []).extend(where)
    gone, doubts = check_external(external)
    faults += more + gone
    print("\n".join([*doubts, *faults]) or "", end="\n" if doubts or faults else "")
    print(f"links: {len(pages) + len(alone)} pages, {len(external)} external links, {len(faults)} faults")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
