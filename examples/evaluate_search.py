"""How well does an index find the right pages? Questions made from the pages themselves, by mode, against chance. Offline."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from pydoc_data.topics import topics

from glyph_integrations import PageIndex, Renderer, evaluate
from glyph_integrations.evaluation import plot, read_questions

QUESTIONS = {  # and words that stand on a right page
    "When is the else clause of a loop executed?": "clause, if present, is executed, and the loop terminates",
    "When are default parameter values evaluated?": "evaluated from left to right when the function definition",
    "Which operator precedence does await have?": "Await expression",
    "What must an exit method return to suppress an exception?": "should return a true value",
    "How are chained comparisons evaluated?": "Comparisons can be chained arbitrarily",
}

folder = Path(tempfile.mkdtemp())
lines = "\n".join(json.dumps({"question": question, "answer": answer}) for question, answer in QUESTIONS.items())
(folder / "questions.jsonl").write_text(lines, encoding="utf-8")

with PageIndex.open(folder / "index") as index:
    index.add(Renderer().paginate("\n\n".join(topics.values()), source="reference.txt"))
    found = evaluate(index, read_questions(folder / "questions.jsonl"), k=5)

print(f"{len(QUESTIONS)} questions, modes: {', '.join(found.modes)}")
for figure in ("hit@1", "hit@5", "MRR", "nDCG@10"):
    chance = found.chance(figure)
    score = found.score("lexical", figure)
    print(f"{figure:8} {score.value:.2f} (95 %: {score.low:.2f} to {score.high:.2f})   chance {chance:.2f}")
for question, reason in found.left_out:
    print("no page answers:", question.question, reason)
plot(found).save(folder / "by_mode.png")
print("plot:", folder / "by_mode.png")
