"""One evaluation: a specification and a checkpoint in, answers, scores and a written record out."""
