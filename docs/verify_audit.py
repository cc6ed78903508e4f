"""Checks a proof of `aiprod audit prove` against a signed checkpoint. Needs Python and `cryptography`, nothing of AIPROD.
python verify_audit.py proof.json 000000000042.checkpoint log.pub               that an entry is in the log
python verify_audit.py proof.json 000000000100.checkpoint log.pub KEPT.checkpoint   that it begins with the one you kept
"""
import base64, hashlib, hmac, json, sys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
def need(holds, otherwise):
    holds or sys.exit(otherwise)

def signed_head(path):
    text, raw = open(path, encoding="utf-8").read(), base64.b64decode(open(sys.argv[3]).read().strip().split("+", 2)[2])[1:]
    try:
        body, signed = text.split("\n\n")
        signature = base64.b64decode(signed.strip().split(" ")[2])[4:]
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, (body + "\n").encode())
    except (InvalidSignature, ValueError, IndexError):
        sys.exit(f"{path} was not signed with this key, or was changed since")
    return int(body.split("\n")[1]), base64.b64decode(body.split("\n")[2])

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
need(len(sys.argv) in (4, 5), __doc__)
proof, (size, root) = json.load(open(sys.argv[1])), signed_head(sys.argv[2])
path = [bytes.fromhex(h) for h in proof["path"]]
if "entry" in proof:
    entry = base64.b64decode(proof["entry"])
    top, _ = climb(proof["index"], proof["size"] - 1, hashlib.sha256(b"\x00" + entry).digest(), path)
    need(proof["size"] == size and top == root, "the entry is not in the signed log")
    for name, said in proof.get("opened", {}).items():  # what the operator says that a commitment of the entry is to
        known = hmac.new(bytes.fromhex(said["salt"]), json.dumps(said["value"], ensure_ascii=False).encode(), "sha256")
        need(known.hexdigest() == json.loads(entry)["committed"].get(name), f"the entry commits to another {name}")
        print(f"it commits to {name}: {said['value']}")
    sys.exit(print("in the signed log:", entry.decode()))
old, new, old_root = proof["old"], proof["new"], bytes.fromhex(proof["old_root"])
need(len(sys.argv) == 5, f"the old root is the prover's word: name the checkpoint of {old} entries that you kept")
need(signed_head(sys.argv[4]) == (old, old_root), f"what {sys.argv[4]} signs is another log than the proof begins with")
path, whole = [old_root, *path] if old & (old - 1) == 0 else path, (old & -old).bit_length() - 1  # levels that are full
top, before = climb(old - 1 >> whole, new - 1 >> whole, path[0], path[1:], path[0]) if old != new else (old_root,) * 2
need(new == size and top == root and before == old_root, "the old log is no beginning of it")
print(f"the signed log of {new} entries begins with the log of {old} entries, unchanged")
