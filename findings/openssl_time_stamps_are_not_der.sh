#!/usr/bin/env bash
# OpenSSL 3 (`openssl ts -reply`) and rfc3161-client 1.0.9: a time stamp with its chain may not parse, though it is whole.
#
# RFC 3161 wants tokens in DER, where a SET OF is sorted by its encodings. OpenSSL, which public authorities run on,
# writes the signer's certificate first and the others after it. `openssl ts -verify` takes that, and so does
# asn1crypto; rfc3161-client (strict, in Rust) raises InvalidSetOrdering. DER sorts by the bytes that come first: tag
# and length. So whether an authority is readable hangs on which of its certificates is longer: with the root shorter
# than the signer's certificate, as is usual, every answer is refused. Sorted anew, it parses: no signature covers it.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  'rfc3161-client==1.0.9' 'asn1crypto==1.5.1' 'cryptography==50.0.2'
cd "$folder"
printf 'extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n' > purpose
long="/O=An organisation with a rather long name/OU=Department of time stamps/CN=Time authority"
openssl req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.pem -subj /CN=Root -days 30 2> /dev/null
openssl req -newkey rsa:2048 -nodes -keyout tsa.key -out tsa.csr -subj "$long" 2> /dev/null
openssl x509 -req -in tsa.csr -CA root.pem -CAkey root.key -CAcreateserial -extfile purpose -days 30 -out tsa.pem 2> /dev/null
cat > ts.cnf <<C
[tsa]
serial = $folder/serial
signer_cert = $folder/tsa.pem
certs = $folder/root.pem
signer_key = $folder/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
C
echo 01 > serial; echo film > data
openssl ts -query -data data -sha256 -cert -out query 2> /dev/null
openssl ts -reply -config ts.cnf -section tsa -queryfile query -out reply 2> /dev/null
openssl ts -verify -data data -in reply -CAfile root.pem 2> /dev/null
"$folder/venv/bin/python" - <<'P'
import sys
from asn1crypto import cms, tsp
from cryptography import x509
from rfc3161_client import VerifierBuilder, decode_timestamp_response
data = open("reply", "rb").read()
try:
    decode_timestamp_response(data)
    sys.exit("it parses as OpenSSL wrote it")
except ValueError as error:
    print("as OpenSSL wrote it:", str(error)[:90])
    strict = "InvalidSetOrdering" in str(error)
answer = tsp.TimeStampResp.load(data, strict=True)
signed = answer["time_stamp_token"]["content"]
signed["certificates"] = cms.CertificateSet(sorted(signed["certificates"], key=lambda held: held.dump()))
root = x509.load_pem_x509_certificate(open("root.pem", "rb").read())
verifier = VerifierBuilder().add_root_certificate(root).build()
held = verifier.verify_message(decode_timestamp_response(answer.dump()), open("data", "rb").read())
print("sorted anew it verifies:", held)
sys.exit(0 if strict and held else 1)
P
echo "as described"
