"""The terms of a report, each in one to three sentences; docs/statistics.md has the full definitions."""

from __future__ import annotations

from harness.stats import AGGREGATE

GLOSSARY = {
    "overall": (
        f"Chance-centred mean over domains ({AGGREGATE}). Each task's value v becomes (v - chance) / (1 - chance); a "
        "domain is the mean of its tasks, variants of the same items averaged first, and overall is the mean of the "
        "domains. 0 is guessing, 1 is perfect."
    ),
    "ranks": (
        "The best and the worst rank that the data allow. All pairs of models are tested at once, so in 95 of 100 "
        "leaderboards all of these ranges are right."
    ),
    "group": "Models that share a letter cannot be told apart. A model can be in several groups.",
    "s.e.": (
        "Standard error: how much the value would typically change with other items of the same kind. Items that share "
        "a template, passage or group form a cluster and do not count as independent."
    ),
    "95% interval": (
        "A range that contains the true value in 95 of 100 evaluations. Right/wrong answers: Wilson's interval for one "
        "model, Tango's for a difference. Other values: bootstrap-t for one model, or a skewness-corrected t below ten "
        "items or clusters; Student's t for a difference."
    ),
    "difference": "Mean of the model minus mean of the baseline, over items that both answered, paired by document.",
    "p": (
        "How often two equally good models would differ at least this much by luck. McNemar's test for right/wrong "
        "answers, sign flips for other values, both as mid-p; the items of a cluster flip together."
    ),
    "p corr.": (
        "p corrected for all tests of this report; overall is tested first, then its tasks. If it is at most 0.05, the "
        "difference is called real, and is set in bold or marked with a dot."
    ),
    "detectable": (
        "The true difference for which the test has 80% power: of a task before correction, of overall after it. If it "
        "is larger than any effect you expect, 'not significant' says nothing. It is inf if no possible effect is "
        "found. A factorial study shows it before correction and, as 'detectable corr.', at 5% divided by the number "
        "of sets in the family, and within a set of several levels by their number."
    ),
    "gained": "Items on which the model is better than the baseline.",
    "lost": "Items on which the baseline is better than the model.",
    "n": "Items in the value. Items that failed, or that one of the models did not answer, are left out and counted.",
    "chance": "The value that guessing reaches.",
    "failed": "Requests without an answer. Their items are left out of every value; they are never scored 0.",
    "margin": (
        "Non-inferiority test: can a loss as large as the margin be ruled out (one-sided, 5%, corrected over tasks and "
        "overall)? 'Inconclusive' proves neither a loss nor that there is none."
    ),
    "s.e. of seeds": "The part of the standard error that comes from the choice of training seeds.",
}

_OF_METRIC = {
    "overall": (
        "Mean over domains in the metric's own units; of accuracies, chance-centred. A domain is the mean of its "
        "tasks, variants of the same items averaged first."
    ),
    "chance": "The value that guessing reaches; 0 for metrics without a chance level.",
}


def glossary(*, any_scale: bool) -> dict[str, str]:
    """Return the terms; with `any_scale` those of a metric that need not lie between 0 and 1."""
    return GLOSSARY | (_OF_METRIC if any_scale else {})
