"""A local web app over records of any size: every item of every model, with filters, search and a page to itself.

    records -> `building`: one SQLite file in the cache -> `index` -> `pages` -> `app` (Starlette) -> `server` (uvicorn)

The index holds one byte and two numbers per answer, and the words for the search. Texts stay in the samples files and
are read from there one line at a time. Ranks and differences are those of `harness.reports.documents`.
"""
