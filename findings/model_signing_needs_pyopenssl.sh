#!/usr/bin/env bash
# model-signing 1.1.1: the OpenSSF signer of model folders cannot be imported as it is installed.
#
# It verifies certificates through pyOpenSSL and imports it at once, but does not list it among what it requires. Whoever
# installs the package alone, or pins what `pip` resolves, gets an error at the first import, also for signing by a key file,
# which takes no certificate at all.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'model-signing==1.1.1' 'sigstore==4.5.1'
"$folder/venv/bin/pip" check >/dev/null && checked="pip check finds nothing missing"
said=$("$folder/venv/bin/python" -c 'import model_signing' 2>&1 | tail -n 1) || true
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'pyopenssl==26.4.0'
"$folder/venv/bin/python" -c 'import model_signing.signing' && with="imports with pyOpenSSL"
echo "model-signing 1.1.1: ${checked:-pip check complains}; import: $said; ${with:-}"
case "$said" in *"No module named 'OpenSSL'"*) [ -n "${checked:-}" ] && [ -n "${with:-}" ] && echo "as described" ;; *) exit 1 ;; esac
