"""How well an index answers the questions of its own users: hit@k, MRR and nDCG by mode, and which weights suit them."""

from .evaluation import Evaluation, LeftOut, evaluate
from .figures import Estimate
from .making import Attempt, make_questions
from .plot import plot
from .questions import LabelledQuestion, read_questions, write_questions
from .weights import Tuning, tune

__all__ = [
    "Attempt",
    "Estimate",
    "Evaluation",
    "LabelledQuestion",
    "LeftOut",
    "Tuning",
    "evaluate",
    "make_questions",
    "plot",
    "read_questions",
    "tune",
    "write_questions",
]
