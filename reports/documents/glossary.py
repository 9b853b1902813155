"""What the words in a report mean, in one or two sentences each; the long form is docs/statistics.md."""

from __future__ import annotations

from harness.stats import AGGREGATE

GLOSSARY = {
    "overall": (
        f"Mean over domains of chance-centred values ({AGGREGATE}): each task's value v becomes (v - chance) / "
        "(1 - chance), a domain is the mean of its tasks, overall the mean of the domains. 0 is guessing, 1 is perfect."
    ),
    "ranks": (
        "The best and the worst rank that the data allow. All pairs of models are tested at once, so that in 95 of 100 "
        "leaderboards not one of these statements is wrong."
    ),
    "group": "Models that share a letter cannot be told apart. A model may be in several groups.",
    "s.e.": (
        "Standard error: how far the number would typically move if other items of the same kind had been asked. "
        "Clustered where a task names templates, passages or groups."
    ),
    "95% interval": (
        "A range that holds the true value 95 times out of 100. Right/wrong answers: Wilson's for one model, Tango's "
        "for a difference. Other values: bootstrap-t for one model, Student's t for a difference."
    ),
    "difference": "Mean of the model less mean of the baseline, over items that both answered, paired by document.",
    "p": (
        "How often two models that are the same would differ this much by luck: McNemar's test for right/wrong "
        "answers, sign flips for others, mid-p; items of one cluster flip together."
    ),
    "p corr.": (
        "p corrected for having looked at every test of this report. At most 0.05: the difference is called real, and "
        "stands in bold or with a dot."
    ),
    "detectable": (
        "The smallest true difference that p, before correction, would find 4 times out of 5. Where it is larger than "
        "any effect one could hope for, 'not significant' says nothing."
    ),
    "gained": "Items on which the model is better than the baseline.",
    "lost": "Items on which the baseline is better.",
    "n": "Items in the number. Items that failed, or that one of the models did not answer, are left out and counted.",
    "chance": "The value that guessing reaches.",
    "failed": "Requests without an answer. Their items are left out of every number; they are never scored 0.",
    "margin": (
        "Non-inferiority: whether a loss as large as the margin can be ruled out (one-sided, 5%). 'Inconclusive' is no "
        "proof of harm, nor of its absence."
    ),
    "s.e. of seeds": "The part of the standard error that comes from having trained these seeds and not others.",
}
