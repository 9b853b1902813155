"""A study from one file: an experiment becomes a graph of nodes, and executors run them (docs/study_file.md).

    spec = read_experiment(Path("experiment.yaml"), [])      # experiment: the file's fields
    graph = build_graph(spec, ...)                           # graph: one node per checkpoint, evaluation and report
    Runner(graph, StudyFolder(Path("runs/study")), executor).run()

A node is a command line of `harness` that can be run again after any interruption. This package reaches trainers and
reports by their commands and entry points only.
"""
