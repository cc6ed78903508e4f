#!/usr/bin/env bash
# c2pa-python 0.38.1 (c2pa-rs 0.91.3): an array of numbers in an assertion comes back as other numbers, as base64 text.
#
# An assertion of one's own is JSON, and Reader.json() returns it. {"matrix": [1, 2, 300]} is signed without a word and
# read back as {"matrix": "AQIs"}, which is base64 of the bytes 1, 2, 44: the array was taken for bytes, and 300 lost its
# upper bits. Negative numbers and fractions are left out: [-1, 2] is "Ag==", [1.5, 2.0] is "". The manifest validates.
# Arrays of arrays and arrays with a text come back as they were, and so does an array within a text (JSON in JSON).
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'c2pa-python==0.38.1' 'cryptography==50.0.2'
cd "$folder"
"$folder/venv/bin/python" -W error - <<'P'
import base64, datetime, io, json, struct, sys, zlib
import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

def named(text):
    return x509.Name([x509.NameAttribute(name, text) for name in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)])

def usage(signs):
    other = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign",
                           "encipher_only", "decipher_only"), False)
    return x509.KeyUsage(digital_signature=True, key_cert_sign=signs, **other)

root, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
now = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)

def certificate(name, owner, signs):
    made = x509.CertificateBuilder().subject_name(named(name)).issuer_name(named("root")).public_key(owner.public_key())
    made = made.serial_number(1 + signs).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=90))
    made = made.add_extension(x509.BasicConstraints(signs, None), True).add_extension(usage(signs), True)
    if not signs:
        made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), False)
    made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(owner.public_key()), False)
    return made.sign(root, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

def sign(data):
    return b"".join(n.to_bytes(32, "big") for n in decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256()))))

def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
png += chunk(b"IDAT", zlib.compress(b"\0" * 4)) + chunk(b"IEND", b"")
given = {"small": [1, 2, 3], "large": [1, 2, 300], "negative": [-1, 2], "fractions": [1.5, 2.0],
         "nested": [[0, 24], [24, 48]], "with_text": [1, "a"], "number": 300}
actions = {"actions": [{"action": "c2pa.created",
                        "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCreation"}]}
manifest = {"claim_generator_info": [{"name": "demo", "version": "1"}], "title": "demo", "format": "image/png",
            "assertions": [{"label": "c2pa.actions", "data": actions}, {"label": "org.example.demo", "data": given}]}
chain = (certificate("signer", key, False) + certificate("root", root, True)).decode()
out = io.BytesIO()
signer = c2pa.Signer.from_callback(sign, c2pa.C2paSigningAlg.ES256, chain, None)
c2pa.Builder(json.dumps(manifest)).sign(signer, "image/png", io.BytesIO(png), out)
out.seek(0)
read = json.loads(c2pa.Reader("image/png", out).json())
found = read["manifests"][read["active_manifest"]]
(back,) = (each["data"] for each in found["assertions"] if each["label"] == "org.example.demo")
print("state:", read.get("validation_state"))
for name, value in given.items():
    print(f"{name:10} {value!s:22} read back as {back[name]!r}")
wrong = [name for name, value in given.items() if back[name] != value]
assert list(base64.b64decode(back["large"])) == [1, 2, 44]
sys.exit(0 if wrong == ["small", "large", "negative", "fractions"] and read["validation_state"] == "Valid" else 1)
P
echo "as described"
