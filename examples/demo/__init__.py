"""`make demo`: one import from start to end, on a stack of its own, checked against what must come out.

::

    __main__ ──▶ album ──▶ pictures, host    the input: 60 rows, their pictures, what must become of each
        ├──────▶ stack                       `face-import up` and `down`, with an own home and free ports
        ├──────▶ client                      the HTTP API and the group's search, as an application uses them
        └──────▶ checks, report              what came out, compared and printed
"""
