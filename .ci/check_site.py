"""Checks a built site: links and anchors lead somewhere, and nothing is loaded from the network."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes whose URL a browser loads by itself, and those that a reader follows.
_LOADED = {("script", "src"), ("img", "src"), ("source", "src"), ("source", "srcset"), ("iframe", "src")}
_LOADING_RELATIONS = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "modulepreload"}


class Page(HTMLParser):
    """What a page loads, where it leads, and the ids in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Takes a tag's URLs and its id."""
        given = {name: value or "" for name, value in attrs}
        self.ids.add(given.get("id", ""))
        relations = set(given.get("rel", "").split())
        for name, value in given.items():
            if (tag, name) in _LOADED or (
                tag == "link" and name == "href" and relations & _LOADING_RELATIONS
            ):
                self.loaded.append(value)
            elif (tag, name) == ("a", "href"):
                self.links.append(value)


def wrong(site: Path) -> list[str]:
    """What is wrong with the pages below a directory, a line each."""
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html"))}
    assert len(pages) > 20, f"{site} has only {len(pages)} pages"
    found = []
    for path, page in pages.items():
        # What isn't found is shown at any address, so its links begin at the root.
        if path.name == "404.html":
            continue
        for url in [*page.loaded, *page.links]:
            parts = urlsplit(url)
            if parts.scheme or parts.netloc:
                if url in page.loaded and parts.scheme != "data":
                    found.append(f"{path.name} loads {url}")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                found.append(f"{path.name} leads to {url}, which isn't there")
            elif target in pages and parts.fragment and unquote(parts.fragment) not in pages[target].ids:
                found.append(f"{path.name} leads to {url}, whose heading isn't there")
    return found


if __name__ == "__main__":
    problems = wrong(Path(sys.argv[1]))
    print("\n".join(problems) or "every link leads somewhere, and nothing comes from the network")
    sys.exit(bool(problems))
