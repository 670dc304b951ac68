"""Draws docs/images/contact-sheet.png: one page of each kind of text and style, as models see them.

python tools/contact_sheet.py        # wants fonts for Chinese, Hindi and Thai (Debian: fonts-noto-cjk, fonts-noto-core)
"""

from __future__ import annotations

import inspect
import textwrap
from pathlib import Path
from pydoc_data.topics import topics

from PIL import Image, ImageDraw

from glyph_integrations import PageStyle, Renderer, open_document

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"

CHINESE = (
    "大学之道，在明明德，在亲民，在止于至善。知止而后有定，定而后能静，静而后能安，安而后能虑，虑而后能得。"
    "物有本末，事有终始。知所先后，则近道矣。古之欲明明德于天下者，先治其国；欲治其国者，先齐其家；欲齐其家者，先修其身。"
)
ARABIC = "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. وقد وهبوا عقلًا وضميرًا وعليهم أن يعامل بعضهم بعضًا بروح الإخاء. "
HINDI = "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। उन्हें बुद्धि और अन्तरात्मा की देन प्राप्त है। "
THAI = "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม และควรปฏิบัติต่อกันด้วยเจตนารมณ์แห่งภราดรภาพ "
MIXED = (
    "The order (رقم الطلب 12345) was placed on 3 May.\n\nالسعر هو 1,299.50 دولار (ABC-42) بعد الخصم.\n\n"
    'המחיר הוא 3.14 ש"ח (כולל מע"מ) – see "הצעה" no. 7.\n'
)
MARKDOWN = """# Style guide

A page is **text**, *style* and `entry state`; see [the guide](https://example.org/a/very/long/address).

| Preset    | dpi | Tokens |
|-----------|----:|-------:|
| glyph-72  |  72 |    630 |
| glyph-96  |  96 |  1,120 |

```python
for page in renderer.paginate(text):
    show(renderer.draw(page))
```

- marks that are not drawn stay in the text
- tables are set in columns
"""
MINUTES = [
    "Present: A. Ferrand, J. Okafor, M. Lindqvist.",
    "",
    "1. The minutes of the last meeting were approved.",
    "2. The reading room stays open until 19:30 on Thursdays,",
    "   from 4 May to 28 September.",
    "3. Twelve chairs will be bought, at 84.50 each.",
]
HTML = """<html><head><style>p {color: red}</style><script>alert(1)</script></head><body><nav>menu</nav><main>
<h1>Opening hours</h1><p>The <b>library</b> is open on <i>weekdays</i>.</p>
<table><tr><th>Day</th><th>From</th><th>To</th></tr><tr><td>Monday</td><td>9:00</td><td>17:30</td></tr>
<tr><td>Friday</td><td>9:00</td><td>13:00</td></tr></table><ul><li>No food</li><li>No shouting</li></ul></main></body></html>"""


def pdf_file(title: str, lines: list[str]) -> bytes:
    """A PDF of one page, 294 by 247 points, with its own font and a rule under the title."""
    shown = "".join(f"({line}) Tj T* " for line in lines)
    drawing = f"BT /F1 16 Tf 24 205 Td ({title}) Tj ET 24 197 246 1 re f BT /F1 9 Tf 13 TL 24 175 Td {shown}ET".encode()
    parts = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 294 247]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(drawing), drawing),
        b"<</Type/Font/Subtype/Type1/BaseFont/Times-Roman>>",
    ]
    body = b"%PDF-1.4\n" + b"".join(b"%d 0 obj%s endobj\n" % (number, part) for number, part in enumerate(parts, 1))
    return body + b"trailer<</Root 1 0 R/Size 6>>\n%%EOF\n"


def pages() -> list[tuple[str, Image.Image]]:
    prose = "\n\n".join(textwrap.dedent(topics[name]) for name in ("execmodel", "dynamic-features", "naming") if name in topics)
    samples = [
        ("English, glyph-72", prose, "glyph-72", None),
        ("Chinese, cjk-72", CHINESE * 30, "cjk-72", None),
        ("Arabic, glyph-96", ARABIC * 12, "glyph-96", None),
        ("Hindi, glyph-96", HINDI * 10, "glyph-96", None),
        ("Thai, glyph-96", THAI * 10, "glyph-96", None),
        ("Left and right, glyph-96", MIXED * 2, "glyph-96", None),
        ("Markdown, glyph-96", MARKDOWN.encode(), "glyph-96", "text/markdown"),
        ("Python, code", inspect.getsource(textwrap).encode(), "code", "text/x-python"),
        ("HTML, web", HTML.encode(), "web", "text/html"),
        ("Black and white, dense-1bit", prose, "dense-1bit", None),
        ("dark", prose, "dark", None),
        ("Two columns", prose, "glyph-72;columns=2", None),
        ("document", prose, "document", None),
        ("A PDF page", pdf_file("Minutes", MINUTES), "glyph-96", "application/pdf"),
        ("Label and line numbers", prose, 'glyph-96;label="source";line_numbers=true', None),
    ]
    drawn = []
    for title, text, style, media_type in samples:
        renderer = Renderer(PageStyle.parse(style).replace(width=294, height=247))
        document = open_document(text, media_type=media_type, name=title) if isinstance(text, bytes) else text
        page = next(iter(renderer.paginate(document, title)))
        drawn.append((title, renderer.draw(page, dpi=96)))
    return drawn


def main() -> None:
    wide, high, across = 392, 330, 3  # of a page of 294 by 247 points at 96 dpi
    drawn = pages()
    down = -(-len(drawn) // across)
    sheet = Image.new("L", (across * (wide + 12) + 12, down * (high + 34) + 12), 210)
    pencil = ImageDraw.Draw(sheet)
    for number, (title, image) in enumerate(drawn):
        x, y = 12 + number % across * (wide + 12), 12 + number // across * (high + 34)
        pencil.text((x, y), title, fill=0)
        sheet.paste(image, (x, y + 16))
    IMAGES.mkdir(parents=True, exist_ok=True)
    sheet.save(IMAGES / "contact-sheet.png", optimize=True)
    print(IMAGES / "contact-sheet.png", sheet.size)


if __name__ == "__main__":
    main()
