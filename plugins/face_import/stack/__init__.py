"""The embedded stack: all of Face import on one machine, as processes under one supervisord.

::

    cli ──▶ lifecycle ──▶ layout, environment   folders, secrets; the settings of Airflow and its workers
                │   └───▶ checks                before anything is started; `doctor` runs them too
                ▼
           supervisor ───▶ supervisord ──▶ programs, guard
                ▲                            │
             health ◀────────────────────────┘

Every process carries `FACE_IMPORT_STACK=<id>` in its environment; `processes` finds and ends exactly those.
"""
