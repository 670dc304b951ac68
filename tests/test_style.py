"""Page styles: presets, the short string form, files, and the official config."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyph_integrations.errors import StyleError
from glyph_integrations.style import PRESETS, PageStyle

OFFICIAL = {
    "page-size": "595,842",
    "dpi": 72,
    "margin-x": 10,
    "margin-y": 10,
    "font-path": "../config/Verdana.ttf",
    "font-size": 9,
    "line-height": 10,
    "font-color": "#000000",
    "alignment": "LEFT",
    "horizontal-scale": 1.0,
    "first-line-indent": 0,
    "left-indent": 0,
    "right-indent": 0,
    "space-before": 0,
    "space-after": 0,
    "border-width": 0,
    "border-padding": 0,
    "page-bg-color": "#FFFFFF",
    "para-bg-color": "#FFFFFF",
    "auto-crop-width": True,
    "auto-crop-last-page": True,
}

styles = st.builds(
    PageStyle,
    dpi=st.integers(18, 600),
    width=st.floats(200, 2000),
    height=st.integers(100, 2000),
    font_size=st.sampled_from([7, 7.5, 9]),
    font=st.sampled_from(["sans", "mono", "a b;dpi=9.ttf"]),
    align=st.sampled_from(["left", "justify"]),
    newline=st.sampled_from(["auto", "keep"]),
    crop_width=st.booleans(),
)


@given(style=styles)
def test_a_style_survives_its_short_form_and_a_file(style: PageStyle, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert PageStyle.parse(str(style)) == style
    path = tmp_path_factory.mktemp("style") / "style.json"
    style.save(path)
    assert PageStyle.load(path) == style


def test_presets_have_short_names() -> None:
    for name in PRESETS:
        assert str(PageStyle.preset(name)) == name


@pytest.mark.parametrize(
    "change",
    [
        {"dpi": 0},
        {"font_size": -1},
        {"margin_x": 400},
        {"margin_y": 500},
        {"align": "middle"},
        {"newline": "?"},
        {"color": 255},
        {"levels": 1},
        {"width": "wide"},
        {"dpi": True},
        {"missing": "tofu"},
        {"left_indent": 5000},
    ],
)
def test_impossible_styles_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(StyleError):
        PageStyle(**change)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["nope", "glyph-72;dpi", "glyph-72;what=1", "glyph-72;dpi=none"])
def test_short_forms_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(StyleError):
        PageStyle.parse(text)


def test_the_official_config_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config_en.json"
    path.write_text(json.dumps(OFFICIAL))
    style = PageStyle.from_glyph_config(path)
    assert (style.width, style.height, style.margin_x, style.font_size, style.line_height) == (595, 842, 10, 9, 10)
    assert style.font == "sans"  # Verdana is not beside the config
    assert style.newline == "keep" and style.align == "left" and style.crop_width


def test_a_font_beside_the_config_is_used(tmp_path: Path) -> None:
    from glyph_integrations.rendering.fonts import DEJAVU

    (tmp_path / "Mine.ttf").write_bytes((DEJAVU / "DejaVuSansMono.ttf").read_bytes())
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"font-path": "Mine.ttf", "newline-markup": "<font color='#FF0000'>\\n</font>"}))
    style = PageStyle.from_glyph_config(path)
    assert style.font == str((tmp_path / "Mine.ttf").resolve())
    assert style.newline == "marked" and style.align == "justify" and style.line_height == 10 and style.margin_x == 20


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"space-before": 3}, "space-before"),
        ({"border-width": 1}, "border-width"),
        ({"surprise": 1}, "surprise"),
        ({"para-bg-color": "#EEEEEE"}, "para-bg-color"),
        ({"page-size": "wide"}, "page-size"),
        ({"font-color": "red"}, "font-color"),
        ({"alignment": "DIAGONAL"}, "alignment"),
        ({"dpi": "many"}, "dpi"),
    ],
)
def test_what_we_do_not_draw_is_refused_by_name(tmp_path: Path, change: dict[str, object], named: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**OFFICIAL, **change}))
    with pytest.raises(StyleError, match=named):
        PageStyle.from_glyph_config(path)


@pytest.mark.parametrize("content", [None, "not json", "[1]", '{"what": 1}'])
def test_bad_style_files_are_clear_errors(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "style.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(StyleError):
        PageStyle.load(path)
