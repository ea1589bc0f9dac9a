"""Files that commands write beside what they print. Every call of tfkd imports this module, so it imports little."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tfkd.terminal import say

if TYPE_CHECKING:
    from pydantic import BaseModel


def write_outputs(
    record: "BaseModel", write_page: Callable[[Path], None], json: Path | None, page: Path | None
) -> None:
    """Writes a record as JSON and as a page, to the targets of links; None is no file.

    Raises:
        RequestError: a file cannot be written.
    """
    from tfkd import files

    if json is not None:
        files.write_json(files.resolved(json), record.model_dump(mode="json", by_alias=True))
    if page is not None:
        write_page(files.resolved(page))
        say(f"The page is {page}")
