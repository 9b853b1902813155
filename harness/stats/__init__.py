"""Which differences are real: intervals, paired and clustered tests, corrections, power, seeds, aggregates, ranks.

Pure numpy and scipy: arrays in, frozen records out; nothing here reads a file, knows a task or prints. Every number's
definition in plain words, and how well each method keeps its promise, is in ``docs/statistics.md``. The user's mistakes
(NaN, lengths that differ, an impossible level) are ``ValueError``.
"""

from harness.stats.aggregate import AGGREGATE, Aggregate, DomainScore, aggregate, aggregate_weights
from harness.stats.clustered import MeanEstimate, estimate_mean
from harness.stats.corrections import CORRECTIONS, benjamini_hochberg, correct, holm
from harness.stats.dose import DoseResponse, dose_response
from harness.stats.intervals import Interval, interval
from harness.stats.noninferiority import NonInferiority, non_inferiority
from harness.stats.paired import PairedDifference, compare_paired
from harness.stats.permutation import FlipTest, sign_flip
from harness.stats.power import items_needed, minimum_detectable_effect, minimum_detectable_effect_binary
from harness.stats.proportions import paired_score_interval, wilson_interval
from harness.stats.ranking import Ranking, rank_models
from harness.stats.seeds import ArmDifference, VarianceComponents, compare_arms, variance_components

__all__ = [
    "AGGREGATE",
    "CORRECTIONS",
    "Aggregate",
    "ArmDifference",
    "DomainScore",
    "DoseResponse",
    "FlipTest",
    "Interval",
    "MeanEstimate",
    "NonInferiority",
    "PairedDifference",
    "Ranking",
    "VarianceComponents",
    "aggregate",
    "aggregate_weights",
    "benjamini_hochberg",
    "compare_arms",
    "compare_paired",
    "correct",
    "dose_response",
    "estimate_mean",
    "holm",
    "interval",
    "items_needed",
    "minimum_detectable_effect",
    "minimum_detectable_effect_binary",
    "non_inferiority",
    "paired_score_interval",
    "rank_models",
    "sign_flip",
    "variance_components",
    "wilson_interval",
]
