from harness import lm_eval_models as lm_eval_models
from harness.api.evaluating import evaluate as evaluate
from harness.api.evaluation_results import EvaluationResults as EvaluationResults
from harness.api.evaluation_results import IncompleteEvaluation as IncompleteEvaluation
from harness.api.loading import LoadedRecords as LoadedRecords
from harness.api.loading import load as load
from harness.api.reporting import Comparison as Comparison
from harness.api.reporting import Leaderboard as Leaderboard
from harness.api.reporting import compare as compare
from harness.api.reporting import leaderboard as leaderboard
from harness.api.studying import Study as Study
from harness.api.studying import StudyPlan as StudyPlan
from harness.api.studying import run as run
from harness.api.training import StagePlan as StagePlan
from harness.api.training import StageResult as StageResult
from harness.api.training import train as train
from harness.errors import HarnessError as HarnessError
from harness.errors import InputError as InputError

__version__: str
