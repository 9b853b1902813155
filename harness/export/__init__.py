r"""Exports: the same records in the formats of others. An export is a function of the records; it runs no model.

A format is a generator of files, found by its entry point, so that any package can add one::

    # my_package/names.py
    def export(records, options):
        names = "".join(f"{model.name}\n" for model in records.models)
        yield ExportFile(path=PurePosixPath("names.txt"), content=[names.encode()])

    # pyproject.toml
    [project.entry-points."harness.exporters"]
    names = "my_package.names:export"

    $ harness export RUNS --format names --output_path OUT
"""

from harness.export.registry import Exporter, ExportFile, ExportOptions, exporter_names, find_exporter

__all__ = ["ExportFile", "ExportOptions", "Exporter", "exporter_names", "find_exporter"]
