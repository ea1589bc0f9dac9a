"""Links of pages, HTML and Markdown, to files beside them."""

import re
from pathlib import Path

_LINK = re.compile(r'href="([^"#][^"]*)"|\]\(([^)#]+)\)')


def files(page: Path) -> list[Path]:
    """Returns the files that a page links to, whether they are there or not."""
    found = [html or markdown for html, markdown in _LINK.findall(page.read_text(encoding="utf-8"))]
    return [page.parent / link for link in found if not link.startswith(("http", "data:"))]
