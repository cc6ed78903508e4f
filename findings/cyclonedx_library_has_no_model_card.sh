#!/usr/bin/env bash
# cyclonedx-python-lib 11.12.0: an ML-BOM by CycloneDX's own library holds no model card and no data set.
#
# What makes a bill of materials one of machine learning are `modelCard` and `data` of a component, in the standard since
# 1.5. The library knows the component types (`machine-learning-model`, `data`), writes 1.6 and carries the schemas that
# define both, but its Component has neither: a document that was read and written again has lost them, without a word.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'cyclonedx-python-lib[json-validation]==11.12.0'
"$folder/venv/bin/python" - <<'P'
import json, sys
from importlib.metadata import version
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

document = {
    "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
    "components": [
        {"type": "machine-learning-model", "name": "a model",
         "modelCard": {"modelParameters": {"approach": {"type": "self-supervised"}, "task": "text to video"}}},
        {"type": "data", "name": "its clips", "data": [{"type": "dataset", "name": "its clips"}]},
    ],
}
valid = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document)) is None
again = json.loads(JsonV1Dot6(Bom.from_json(document)).output_as_string())
kept = sorted({key for component in again["components"] for key in component} & {"modelCard", "data"})
names = [name for name in dir(Component) if name.lower() in ("model_card", "modelcard", "data")]
print(f"cyclonedx-python-lib {version('cyclonedx-python-lib')}: valid {valid}; fields of Component {names}; kept {kept}")
sys.exit(0 if valid and not names and not kept and len(again["components"]) == 2 else 1)
P
echo "as described"
