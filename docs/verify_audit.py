"""Checks a proof of `aiprod audit prove` against a signed checkpoint. Needs Python and `cryptography`, nothing of AIPROD.
python verify_audit.py proof.json 000000000042.checkpoint log.pub
"""
import base64, hashlib, json, sys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
def need(holds, otherwise):
    holds or sys.exit(otherwise)

def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()

def climb(index, last, start, path, before=None):
    """RFC 9162 2.1.3.2 and 2.1.4.2 share this walk; `before` follows the old tree of a consistency proof."""
    now = start
    for step in path:
        need(last, "the proof is too long")
        if index & 1 or index == last:
            now, before = node(step, now), before and node(step, before)
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            now = node(now, step)
        index, last = index >> 1, last >> 1
    need(not last, "the proof is too short")
    return now, before
proof, (body, signed) = json.load(open(sys.argv[1])), open(sys.argv[2], encoding="utf-8").read().split("\n\n")
raw = base64.b64decode(open(sys.argv[3]).read().strip().split("+", 2)[2])[1:]
signature = base64.b64decode(signed.strip().split(" ")[2])
Ed25519PublicKey.from_public_bytes(raw).verify(signature[4:], (body + "\n").encode())  # raises when forged
path, (size, root) = [bytes.fromhex(h) for h in proof["path"]], body.split("\n")[1:]
if "entry" in proof:
    entry = base64.b64decode(proof["entry"])
    top, _ = climb(proof["index"], proof["size"] - 1, hashlib.sha256(b"\x00" + entry).digest(), path)
    need(proof["size"] == int(size) and top == base64.b64decode(root), "the entry is not in the signed log")
    sys.exit(print("in the signed log:", entry.decode()))
old, new, old_root = proof["old"], proof["new"], bytes.fromhex(proof["old_root"])
path, whole = [old_root, *path] if old & (old - 1) == 0 else path, (old & -old).bit_length() - 1  # levels that are full
top, before = climb(old - 1 >> whole, new - 1 >> whole, path[0], path[1:], path[0]) if old != new else (old_root,) * 2
need(new == int(size) and top == base64.b64decode(root) and before == old_root, "the old log is no beginning of it")
print(f"the signed log of {new} entries begins with the log of {old} entries, unchanged")
