"""Pages work under a content security policy without exceptions."""

import re
from pathlib import Path

import pytest

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
FORBIDDEN = {
    "a style attribute": re.compile(r"<[^>]*\sstyle\s*=", re.IGNORECASE),
    "a style element": re.compile(r"<style\b", re.IGNORECASE),
    "an event attribute": re.compile(r"<[^>]*\s(on[a-z]+|hx-on[a-z:-]*)\s*=", re.IGNORECASE),
    "a script inside the page": re.compile(
        r"<script\b(?![^>]*\ssrc\s*=)(?![^>]*application/json)", re.IGNORECASE
    ),
    "a javascript: address": re.compile(r"javascript:", re.IGNORECASE),
    "a script from elsewhere": re.compile(
        r"<(script|link|img)\b[^>]*(src|href)\s*=\s*[\"'](https?:)?//", re.IGNORECASE
    ),
}


def offences(text: str) -> list[str]:
    markup = re.sub(r"{#.*?#}|{% comment %}.*?{% endcomment %}", "", text, flags=re.DOTALL)
    return [name for name, pattern in FORBIDDEN.items() if pattern.search(markup)]


def test_no_template_has_styles_or_scripts_of_its_own() -> None:
    templates = list(TEMPLATES.rglob("*.html"))

    found = {
        str(path.relative_to(TEMPLATES)): names
        for path in templates
        if (names := offences(path.read_text(encoding="utf-8")))
    }

    assert len(templates) > 40
    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        '<p style="color: red">',
        '<p class="a"\n   style = "x">',
        "<style>p {}</style>",
        '<a onclick="x()">',
        '<div hx-on:click="x()">',
        "<script>x()</script>",
        '<script type="module">x()</script>',
        '<a href="javascript:x()">',
        '<script src="https://cdn.example.com/x.js"></script>',
        '<link rel="stylesheet" href="//cdn.example.com/x.css">',
    ],
)
def test_each_of_them_would_be_noticed(text: str) -> None:
    assert offences(text)


@pytest.mark.parametrize(
    "text",
    [
        '<script src="/static/x.js" defer></script>',
        '<script type="application/json" id="data">{}</script>',
        '<p data-style="x" class="on">',
        "{# never use style= or <script> here #}",
        '<a href="https://example.com">',
    ],
)
def test_what_is_allowed_is_not_noticed(text: str) -> None:
    assert offences(text) == []
