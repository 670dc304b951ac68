"""HTML: what a reader sees as text, nothing of the rest, and for every character where it came from."""

from __future__ import annotations

import itertools
import time
from html import escape

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from glyph_integrations.errors import DocumentError
from glyph_integrations.sources import SourceDocument, open_document
from glyph_integrations.sources.html import MAX_CHARACTERS, extract_html

PAGE = """<!DOCTYPE html>
<html><head><title>Title</title><style>p { color: red }</style><script>var hidden = "<p>script</p>";</script></head>
<body><header>Site name</header><nav><a href="/">Home</a></nav>
<main>
<h1>Tea &amp; <em>coffee</em></h1>
<p>Steep it
  for <b>three</b> minutes. <a href="javascript:alert(1)">More</a><script>alert(2)</script></p>
<ul><li>green<li>black <ul><li>Assam</ul></ul><ol start="3"><li><p>pour</p><li>drink</ol>
<table><caption>Times</caption><tr><th>Kind<th>Minutes<tr><td>green<td>2<tr><td>black<td>
<tr><td><td>4</table>
<pre>
if x &lt; 1:
    <b>return</b>
</pre>
<blockquote>Said<br>so</blockquote><div>last<div>words</div></div>
</main><aside>Ads</aside><footer>Imprint</footer></body></html>"""

TEXT = """Tea & coffee

Steep it for three minutes. More

• green
• black
  • Assam

3. pour
4. drink

Times
Kind | Minutes
green | 2
black
| 4

if x < 1:
    return

Said
so

last
words"""


def read(html: str) -> SourceDocument:
    return open_document(html.encode("utf-8", "surrogatepass"), "text/html", encoding="utf-8", errors="surrogatepass")


def said(document: SourceDocument, role: str) -> list[str]:
    return [document.text[start:end] for start, end, name in document.runs if name == role]


def test_the_main_content_becomes_paragraphs_lists_and_tables() -> None:
    document = open_document(PAGE.encode())
    assert document.media_type == "text/html"
    assert document.text == TEXT


def test_roles_say_what_the_tags_said() -> None:
    document = read(PAGE)
    assert said(document, "heading1") == ["Tea & coffee"]
    assert said(document, "emphasis") == ["coffee"]
    assert said(document, "strong") == ["three", "Kind", "Minutes", "return"]
    assert said(document, "link") == ["More"]
    assert said(document, "list") == ["• green\n• black\n  • Assam", "  • Assam", "3. pour\n4. drink"]
    assert said(document, "table") == ["Times\nKind | Minutes\ngreen | 2\nblack\n| 4"]
    assert said(document, "codeblock") == ["if x < 1:\n    return"]
    assert said(document, "quote") == ["Said\nso"]
    assert "syntax" not in {run.role for run in document.runs}


@pytest.mark.parametrize(
    ("words", "html"),
    [
        ("Tea & coffee", "Tea &amp; <em>coffee"),
        ("&", "&amp;"),
        ("Steep it for three", "Steep it\n  for <b>three"),
        ("1:\n    return", "1:\n    <b>return"),
        ("Kind | Minutes", "Kind<th>Minutes"),
        ("so\n\nlast", "so</blockquote><div>last"),
        ("• green", "green"),
    ],
)
def test_a_span_of_the_text_leads_back_to_the_source(words: str, html: str) -> None:
    document = read(PAGE)
    at = document.text.index(words)
    start, end = document.source_span(at, at + len(words))
    assert PAGE[start:end] == html


def test_a_span_of_nothing_from_the_source_is_empty_where_it_stands() -> None:
    document = read("<p>one</p><ul><li>two</ul>")
    bullet = document.text.index("•")
    start, end = document.source_span(bullet, bullet + 2)
    assert start == end == len("<p>one")
    assert read("<ul><li>two</ul>").source_span(0, 1) == (8, 8)


def test_text_kinds_are_their_own_source() -> None:
    for name in ("a.txt", "a.md", "a.py"):
        assert open_document(b"# one\r\n*two*", name=name).source_span(2, 9) == (2, 9)


TAGS = (
    "div p b i ul ol li table tr td th pre h1 h3 blockquote code br span section main article nav aside footer script style "
    "select option svg math form sup head body template dl dd caption button textarea title noscript"
).split()
BITS = [
    *(f"<{tag}>" for tag in TAGS), *(f"</{tag}>" for tag in TAGS), "<a href=x>", "</a>", "<p hidden>", "word", "two words", " ",
    "\n", "\r\n", "\t ", "&amp;", "&lt;", "&eacute;", "&nbsp;", "&#8364;", "&#xD800;", "&notit", "&", "<", ">", "<!--", "-->",
    "汉字", "<!doctype html>", "👩\u200d👩\u200d👧", "2", "\0", "\x0c", "</", "<a b='", "'>", "<![CDATA[", "]]>", "<?x?>",
]  # fmt: skip
RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ"


@settings(max_examples=400)
@given(st.lists(st.sampled_from(BITS), max_size=50).map("".join))
@example("<table>&amp;x<tr><td>1<b>2&lt;</table>3")
@example("<sup>2</sup><li>a<table><tr><td><li>b")
@example("汉字\0")
@example("<b><ul><li>x</ul></b><pre>\n\n&amp;\r\nx</pre>")
def test_every_piece_of_the_map_is_that_piece_of_the_source(html: str) -> None:
    document = read("x" + html)
    source, text = "x" + html, document.text
    assert text == text.strip("\n") or "pre" in html
    at = 0
    for offset, origin, length in document.source_map:
        assert at <= offset and offset + length <= len(text) and origin >= 0 and origin + length <= len(source)
        at = offset + length
        for here, there in zip(text[offset:at], source[origin : origin + length], strict=True):
            assert here == there or (here in " \n" and there.isspace()) or here in RAISED or there in "&#8364;éacutnbsp\0xD0"
    for first, second in itertools.pairwise(document.runs):
        assert (first.start, -first.end) <= (second.start, -second.end)
        assert second.start >= first.end or second.end <= first.end
    for start, end, _ in document.runs:
        assert 0 <= start < end <= len(text)
        origin, stop = document.source_span(start, end)
        assert 0 <= origin <= stop <= len(source) or "table" in html  # a browser moves text out of tables


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip), min_size=1, max_size=5))
def test_plain_paragraphs_come_through_whole_and_lead_back(paragraphs: list[str]) -> None:
    html = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs)
    document = read(html)
    whole = [" ".join(part for part in paragraph.replace("\r", "\n").split(" ") if part) for paragraph in paragraphs]
    assert document.text == "\n\n".join(whole)
    at = 0
    for words in whole:
        start, end = document.source_span(at, at + len(words))
        assert html[:start].endswith("<p>") or html[start - 1] == " "
        assert html[end:].startswith(("</p>", " "))
        at += len(words) + 2


def test_white_space_is_collapsed_and_no_word_is_glued_to_another() -> None:
    assert read("a<b>b</b> c<br>d<p>e</p>f\n\n g<div>h</div>i&nbsp;j").text == "ab c\nd\n\ne\n\nf g\nh\ni\xa0j"
    assert read("<td>a<td>b").text == "ab"  # no table: a browser ignores these tags
    assert read("<table><tr><td><p>a</p><p>b</p><ul><li>c</ul><td>d</table>").text == "a b • c | d"


def test_layout_tables_are_read_as_blocks() -> None:
    assert read("<table><tr><td><h1>Title</h1><td><table><tr><td>a<td>b</table></table>").text == "Title\n\na | b"
    code = read("<table><tr><td><pre>1\n2</pre><td><pre>x = 1\ny = 2</pre></table>")
    assert code.text == "1\n2\n\nx = 1\ny = 2"


def test_raised_and_lowered_digits_stay_raised_and_lowered() -> None:
    assert read("10<sup>6</sup> H<sub>2</sub>O x<sup>note</sup>").text == "10⁶ H₂O xnote"


def test_hidden_parts_and_page_furniture_are_left_out() -> None:
    html = (
        "<header>top</header><p hidden>a</p><p style='display: none'>b</p><p aria-hidden=true>c</p><div role=navigation>d</div>"
        "<form><p>kept</p><input value=e><button>f</button><select><option>g</select></form><svg><text>h</text></svg>"
        "<template>i</template><noscript>j</noscript><iframe>k</iframe><footer>bottom</footer>"
        "<section><header>its own head</header></section>"
    )
    assert read(html).text == "kept\n\nits own head"


def test_the_article_is_the_content_where_most_of_the_text_is() -> None:
    assert (
        read("<div>menu</div><article><header>A long enough story</header></article><div>more</div>").text
        == "A long enough story"
    )
    assert read("<div>a page that is mostly not in its article</div><article>x</article>").text.startswith("a page")
    assert read("<nav>only links here</nav>").text == "only links here"


@pytest.mark.parametrize("html", ["<script>1</script>", "<p> &#32; </p>", "<!-- nothing -->", "<img src=a.png>"])
def test_a_page_without_text_is_refused(html: str) -> None:
    with pytest.raises(DocumentError, match="holds no text"):
        read(html)


def test_too_large_a_page_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(DocumentError, match="split it"):
        extract_html("x" * (MAX_CHARACTERS + 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 100_000 + "x", "<b>x" * 10_000, "<ul><li>x" * 10_000, "<table><tr><td>" * 10_000 + "x", "x" + "&" * 100_000,
        "x\r\n y&amp;" * 30_000, "x</b>" * 50_000, "<main>x" * 10_000, "x<!--" * 50_000, "<p " + "a='" * 50_000 + ">x",
        "<table>" + "x<b>&amp;y" * 5_000, "<table><tr>" + "<td>" * 30_000 + "x", "<pre>" + "x\r\n<b>y</b>" * 10_000,
        "x" + "< " * 50_000,
        "<script>" + "<script>" * 50_000 + "</script>x", "<a href=x>y" * 10_000,
    ],
    ids=lambda html: html[:8],
)  # fmt: skip
def test_broken_and_hostile_html_takes_bounded_time(html: str) -> None:
    start = time.process_time()
    assert read(html).text
    assert time.process_time() - start < 20


def test_time_grows_with_the_size_only() -> None:
    def seconds(count: int) -> float:
        html = "<p>word and <i>other</i> words\n of a line &amp; more.\r\n" * count
        start = time.process_time()
        read(html)
        return time.process_time() - start

    seconds(100)
    assert seconds(8000) < 16 * seconds(2000)


def test_a_page_in_its_own_declared_encoding_is_read() -> None:
    page = "<html><head><meta charset='{}'></head><body><p>{}</p></body></html>"
    assert open_document(page.format("gb2312", "汉字").encode("gb18030"), name="a.html").text == "汉字"
    assert open_document(page.format("ISO-8859-1", "“café”").encode("cp1252"), name="a.html").text == "“café”"
    assert open_document(page.format("gb2312", "汉字").encode(), name="a.html").text == "汉字"  # it is UTF-8 after all
    for lie in ("utf-8", "hex", "klingon", "utf-16"):
        with pytest.raises(DocumentError, match="not utf-8 text"):
            open_document(page.format(lie, "é").encode("cp1252"), name="a.html")


def test_nothing_in_a_page_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
    html = "<link rel=stylesheet href='http://127.0.0.1:9/a.css'><img src='http://127.0.0.1:9/'><object data='file:///etc/passwd'></object>x"
    assert read(html).text == "x"
