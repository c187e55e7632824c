"""Examples of bodies and responses for the OpenAPI document: one import, from its creation to its results."""

from typing import Any

TASK_ID = "En14GRbIt7tn"
_URI = "https://images.example.com/42.jpg"
_LIMITS = {"pos_pitch": 0, "pos_yaw": 30, "pos_rol": 0, "width": 80, "height": 0, "blur_degree": 0, "faces": 0}
_CONFIG = {
    **_LIMITS,
    "mode": 0,
    "thread_num": 10,
    "host_threads": 0,
    "max_failed": 0,
    "max_failed_percent": 20,
    "fail_on_errors": 0,
    "measure": 0,
    "dry_run": 0,
    "sample": 0,
    "same_picture": 0,
    "alike": 0.6,
    "alike_tag": 0.0,
    "on_alike": "refuse",
}
_READING = {
    "encoding": "UTF-8",
    "separator": ",",
    "header": True,
    "skipped": 0,
    "columns": {"uri": "photo", "tag": "name", "id": "number"},
    "ignored": ["department"],
    "sheet": None,
    "sheets": [],
}
_COURSE = {
    "group_name": "staff",
    "total_num": 1201,
    "handled_num": 1201,
    "success_num": 1198,
    "failed_num": 3,
    "errors": {"101": 1, "201": 2},
    "state": 4,
    "attempts": 1,
    "last_error": "",
    "created_at": "2030-01-01T12:00:00.000+00:00",
    "started_at": "2030-01-01T12:00:05.120+00:00",
    "finished_at": "2030-01-01T12:01:10.480+00:00",
}
_FAILURE = {"row": 42, "code": 101, "message": "HTTP 404 Not Found", "reason": "not_found"}
_MEASURED = dict.fromkeys(("faces", "score", "width", "height", "pitch", "yaw", "roll", "blur"))

_SUMMARY = {"id": TASK_ID, "source": "upload: faces.csv", **_COURSE}

EXAMPLES: dict[str, dict[str, Any]] = {
    "CreateForm": {"group_name": "staff", "source": "https://files.example.com/faces.csv", "pos_yaw": 30, "width": 80},
    "Created": {"id": TASK_ID},
    "Started": {"notice": ""},
    "Done": {},
    "ListBody": {"group_name": "staff", "status": 4, "fields": "summary", "skip": 0, "limit": 100},
    "Listed": {"ids": [TASK_ID], "tasks": [_SUMMARY], "total_count": 1},
    "Detail": {
        **_COURSE,
        "config": _CONFIG,
        "source": _READING,
        "changes": None,
        "waiting": [],
        "callback": {
            "url": "https://app.example.com/hooks/faces",
            "state": "delivered",
            "event": "task.completed",
            "id": "4a6c1c7e-8c1f-4d0e-9a52-0d3a3b7f7a55",
            "tries": 1,
            "tried_at": "2030-01-01T12:01:11.020+00:00",
            "answer": "204 No Content",
            "next_at": None,
        },
        "notice": "",
        "dag_run_id": TASK_ID,
        "undoes": None,
    },
    "Ended": {"type": "task.completed", "timestamp": _COURSE["finished_at"], "data": _SUMMARY},
    "ConfigBody": {"thread_num": 40},
    "RetryBody": {"codes": [101, 301], "preview": True},
    "Retried": {"rows": 1},
    "JudgeBody": {"pos_yaw": 20, "blur_degree": 60},
    "Judged": {
        "limits": {**_LIMITS, "pos_yaw": 20, "blur_degree": 60},
        "handled_num": 1201,
        "success_num": 1130,
        "errors": {"203": 44, "207": 24},
        "unmeasured_num": 0,
        "other_errors": {"101": 1, "201": 2},
    },
    "LimitsBody": {"pos_yaw": 20, "blur_degree": 60, "preview": True},
    "Limited": {"reopened": 0, "removed": 68, "rejudged": 0, "unmeasured": 0},
    "Histogram": {"of": "yaw", "edges": [-30.0, 0.0, 30.0], "counts": [581, 617], "unmeasured_num": 3},
    "Log": {"logs": [{"uri": _URI, **_FAILURE}], "total_count": 3},
    "ResultPage": {
        "columns": ["photo", "name", "number", "department"],
        "rows": [{**_FAILURE, "line": 43, "cells": [_URI, "Ada", "emp-0042", "R&D"], "face_id": "", **_MEASURED}],
        "skipped": 0,
        "looked_to": 1201,
        "sorted": None,
        "next": None,
        "total_num": 1201,
    },
    "Error": {"error": "thread_num: Input should be greater than or equal to 0", "code": "invalid_request"},
}
"""By the name of their schema."""
