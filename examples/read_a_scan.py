"""A scan, which has no text: read by OCR, found by its words, cited by box on the picture. Offline (extra ``ocr``).

The scan is made here: a letter is drawn, speckled and saved as a PNG, so that only pixels are left.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from glyph_integrations import ExtractiveModel, PageStyle, Renderer
from glyph_integrations.langchain import ChatPageModel, GlyphLoader, GlyphVectorStore, citations_of

LETTER = """Keel, 3 May 1911

Dear Mrs. Gallagher,

the harvest festival will be held on the second Sunday of September, in the old boathouse.
Please bring the large kettle. The band asks for four shillings and a lift home.

Yours faithfully, Daniel O'Malley
"""

folder = Path(tempfile.mkdtemp())
renderer = Renderer(PageStyle.preset("glyph-96"))
drawn = renderer.draw(next(iter(renderer.paginate(LETTER))), dpi=150).convert("L")
speckles = np.random.default_rng(1).normal(0, 12, (drawn.height, drawn.width))
Image.fromarray(np.clip(np.asarray(drawn) * 0.85 + 25 + speckles, 0, 255).astype(np.uint8)).save(folder / "letter.png")

documents = GlyphLoader(folder, ocr=True).load()
print(f"read from the picture:\n{documents[0].page_content}\n")

store = GlyphVectorStore.from_documents(documents)
(found,) = store.as_retriever(k=1).invoke("When is the harvest festival?")
answer = ChatPageModel(model=ExtractiveModel(quotes=1)).invoke(f"{found.page_content}\n\nWhen is the harvest festival?")
print(answer.text)
(citation,) = citations_of(answer)
print("verified:", citation.verified, " boxes:", [tuple(round(side) for side in box) for box in citation.boxes])
citation.pictures(Renderer(root=folder))[0].save(folder / "cited.png")
print("marked:", folder / "cited.png")
