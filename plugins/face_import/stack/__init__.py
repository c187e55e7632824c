"""The embedded stack: all of Face import on one machine, as processes under one supervisord.

::

    cli ──▶ lifecycle ──▶ preparation   directories, secrets, migrations
                │   └───▶ checks        checks before anything is started
                ▼
           supervision ──▶ supervisord ──▶ programs, guard
                ▲                            │
             health ◀────────────────────────┘

Every process carries `FACE_IMPORT_STACK=<id>` in its environment; `members` finds and ends exactly those.
"""
