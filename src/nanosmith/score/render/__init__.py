"""A Report as plain text, as JSON and as one self-contained HTML page."""

from nanosmith.score.render.html import as_html, check_html
from nanosmith.score.render.json import as_json, as_object
from nanosmith.score.render.text import as_text

__all__ = ["as_html", "as_json", "as_object", "as_text", "check_html"]
