#!/usr/bin/env bash
# license-expression 30.4.4: `parse(..., validate=True)` accepts a licence after WITH that is no exception.
#
# In an SPDX expression only an exception may follow WITH, and an exception only adds permissions, so a program that
# drops it keeps the narrower rights. One would expect a parse that is asked to validate to hold to the grammar. It only
# looks whether the keys are known: "MIT WITH GPL-3.0-only" parses into a LicenseWithExceptionSymbol whose licence is
# MIT, and the other licence is gone for whoever reads `.license_symbol`. `validate()` of the same object, and
# `parse(..., strict=True)`, refuse the same text.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'license-expression==30.4.4'
"$folder/venv/bin/python" - <<'P'
import sys
from importlib.metadata import version
from license_expression import get_spdx_licensing
TEXT = "MIT WITH GPL-3.0-only"
licensing = get_spdx_licensing()
parsed = licensing.parse(TEXT, validate=True)
print(f"parse(validate=True): {type(parsed).__name__}, licence {parsed.license_symbol.key}, "
      f"exception {parsed.exception_symbol.key} (is_exception {parsed.exception_symbol.is_exception})")
problems = licensing.validate(TEXT).errors
print(f"validate(): {problems}")
try:
    licensing.parse(TEXT, strict=True)
    strict = "accepted"
except Exception as error:
    strict = type(error).__name__
print(f"parse(strict=True): {strict}")
print(f"license-expression {version('license-expression')}")
held = type(parsed).__name__ == "LicenseWithExceptionSymbol" and not parsed.exception_symbol.is_exception
sys.exit(0 if held and problems and strict == "ExpressionParseError" else 1)
P
echo "as described"
