"""Intervals, paired and clustered tests, corrections, power, seeds, aggregates and ranks.

    from harness.stats import compare_paired, correct, interval

    interval([1, 0, 1, 1])  # one model, one task
    compare_paired(answers_of_a, answers_of_b, passages)  # two models on the same items, clustered by passage
    correct([0.004, 0.03, 0.2])  # Holm over three tasks

Pure numpy and scipy: functions take arrays and return frozen dataclasses. Nothing here reads a file, prints or knows
about tasks. ``docs/statistics.md`` defines every number and gives the measured error rates of every method. Wrong input
(NaN, different lengths, an impossible level) raises ``ValueError``.
"""

from harness.stats.aggregate import AGGREGATE, Aggregate, DomainScore, aggregate, aggregate_weights
from harness.stats.clustered import MeanEstimate, estimate_mean
from harness.stats.corrections import CORRECTIONS, benjamini_hochberg, correct, hochberg, holm
from harness.stats.dose import DoseResponse, dose_response
from harness.stats.intervals import Interval, interval
from harness.stats.noninferiority import NonInferiority, non_inferiority
from harness.stats.paired import PairedDifference, compare_paired
from harness.stats.permutation import FlipTest, sign_flip
from harness.stats.power import items_needed, minimum_detectable_effect, minimum_detectable_effect_binary
from harness.stats.proportions import paired_score_interval, wilson_interval
from harness.stats.ranking import Ranking, rank_models
from harness.stats.runs import RunDifference, TaskScores, compare_over_tasks
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
    "RunDifference",
    "TaskScores",
    "VarianceComponents",
    "aggregate",
    "aggregate_weights",
    "benjamini_hochberg",
    "compare_arms",
    "compare_over_tasks",
    "compare_paired",
    "correct",
    "dose_response",
    "estimate_mean",
    "hochberg",
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
