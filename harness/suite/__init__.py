"""Tasks: the catalogue of names, data availability, validation, items, filters and metrics.

from harness.suite.catalogue import Catalogue

loaded = Catalogue([Path("colours")]).load(["colours_cloze"])
loaded.tasks["colours_cloze"]  # lm-eval's task object
"""
