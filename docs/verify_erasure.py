"""Checks the certificate of an erasure. Needs Python and `cryptography`, nothing of AIPROD.
python verify_erasure.py datasets/erasures/ID.json log.pub
"""
import base64, hashlib, json, sys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
len(sys.argv) == 3 or sys.exit(__doc__)
paper = json.load(open(sys.argv[1], encoding="utf-8"))
body, raw = paper["body"], base64.b64decode(open(sys.argv[2]).read().strip().split("+", 2)[2])[1:]
signed = json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()  # as RFC 8785 writes it
try:
    Ed25519PublicKey.from_public_bytes(raw).verify(base64.b64decode(paper["signature"], validate=True), signed)
except (InvalidSignature, ValueError):
    sys.exit("it was not signed with this key, or was changed since")
stores = body["found_after"]
left = [name for name, n in stores.items() if n.get("skipped") or n["pieces"] or n["hashes"] or n["names"]]
print(f"signed: {', '.join(film['film_id'] for film in body['films'])} erased at {body['time']}")
print(f"keys destroyed: {body['keys_destroyed']}; stores searched: {len(stores)}; something left, or not searched whole: "
      f"{', '.join(left) or 'nowhere'}")
print("consent records kept on purpose:", body.get("kept_on_purpose", {}).get("consent_records", 0))
print("the entry in the log that names it has the digest", hashlib.sha256(signed).hexdigest())
