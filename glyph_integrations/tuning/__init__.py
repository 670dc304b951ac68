"""Which style suits a model and one's documents: how legible a style is, and a search for a better one."""

from ..ocr import CachedReader, RapidOcrReader, Reader, Stretch, TesseractReader, open_reader
from .advisor import Advice, Advisor, advisor_of
from .calibration import calibrate
from .evaluator import Ask, Evaluator, MeanEvaluator, OcrEvaluator, Score
from .legibility import Confusion, Legibility, LineReading, measure_legibility
from .pair_tasks import read_templates
from .picture import plot, side_by_side
from .quality_monitor import Misread, QualityMonitor
from .reading_evaluators import Asked, NeedleEvaluator, QuestionEvaluator, TranscriptionEvaluator, ask_model
from .sample import Passage, Sample
from .search_space import Range, SearchSpace
from .shards import Manifest, Shard, verify_pairs
from .style_search import StyleSearch
from .tally import Counts, Tally
from .training_pairs import export_pairs
from .trial import Trial, choose, hypervolume, pareto_front

__all__ = [
    "Advice",
    "Advisor",
    "Ask",
    "Asked",
    "CachedReader",
    "Confusion",
    "Counts",
    "Evaluator",
    "Legibility",
    "LineReading",
    "Manifest",
    "MeanEvaluator",
    "Misread",
    "NeedleEvaluator",
    "OcrEvaluator",
    "Passage",
    "QualityMonitor",
    "QuestionEvaluator",
    "Range",
    "RapidOcrReader",
    "Reader",
    "Sample",
    "Score",
    "SearchSpace",
    "Shard",
    "Stretch",
    "StyleSearch",
    "Tally",
    "TesseractReader",
    "TranscriptionEvaluator",
    "Trial",
    "advisor_of",
    "ask_model",
    "calibrate",
    "choose",
    "export_pairs",
    "hypervolume",
    "measure_legibility",
    "open_reader",
    "pareto_front",
    "plot",
    "read_templates",
    "side_by_side",
    "verify_pairs",
]
