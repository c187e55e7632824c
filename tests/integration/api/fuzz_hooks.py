"""For the fuzz test: the document says what clients should send; this adds what the API accepts from others as well."""

from typing import Any

import schemathesis

_BLANK = {"type": "string", "maxLength": 0}


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Widen numbers to blanks and strings, so that what is invalid is what the API has to refuse."""
    schemas = raw_schema["components"]["schemas"]
    schemas["CreateForm"]["anyOf"] = [{"required": ["file"]}, {"required": ["source"]}]
    null = {"type": "null"}
    for name, others in {"CreateForm": [_BLANK], "JudgeBody": [_BLANK, null], "LimitsBody": [_BLANK, null]}.items():
        fields = schemas[name]["properties"]
        for field, schema in fields.items():
            if schema.get("type") == "integer":
                fields[field] = {"anyOf": [schema, *others]}
    schemas["ListBody"]["properties"]["status"] = {"enum": [*range(5), *"01234", "", None]}
