"""`make demo`: one import end to end, on its own stack, with its results checked.

::

    __main__ ──▶ album ──▶ pictures, host    the input: 60 rows, their pictures, the expected results
        ├──────▶ stack                       `face-import up` and `down`, with its own home and free ports
        ├──────▶ client                      the HTTP API and the group's search, as an application uses them
        └──────▶ checks, report              the results, compared and printed
"""
