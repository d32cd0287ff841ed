"""A report as a page in a file."""

from __future__ import annotations

from pathlib import Path

import typer


def check_target(html: Path) -> None:
    """What would stop the writing at the end is found at the start. Raises InputError."""
    from nanosmith.core.errors import InputError

    if html.is_dir():
        raise InputError("this is a folder", where=str(html), allowed="a file to write the page to", param="html")


def write_page(content: str, html: Path) -> None:
    from nanosmith.store.atomic import write_atomic

    write_atomic(html, content.encode())
    typer.echo(f"The page is in {html}.", err=True)
