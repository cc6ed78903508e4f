#!/usr/bin/env bash
# s3fs 2026.9.0: a server that stops sending in the middle of an object ends in "IndexError: tuple index out of range".
#
# One would expect a time-out: fsspec raises FSTimeoutError, which is an asyncio.TimeoutError and so a TimeoutError, and
# whoever reads a remote file catches OSError (TimeoutError is one) to try again later. But where a file that was
# opened with fs.open is read, s3fs looks at the first argument of what it caught, and that error has none. So the
# retry of the caller does not catch it, and a report to users says "tuple index out of range". The time-out is found in
# __context__. fs.cat_file of the same object raises FSTimeoutError.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 's3fs==2026.9.0' 'fsspec==2026.9.0' 'aiobotocore==3.10.0'
HOME=$folder "$folder/venv/bin/python" - <<'P'
import http.server
import os
import threading

import s3fs
from fsspec.exceptions import FSTimeoutError


class Stalling(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def head(self) -> None:
        self.send_response(206 if self.headers.get("Range") else 200)
        self.send_header("Content-Length", "5000")
        self.send_header("ETag", '"0"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()

    do_HEAD = head

    def do_GET(self) -> None:
        self.head()
        self.wfile.write(b"x" * 100)
        ended.wait(60)
        self.close_connection = True


ended = threading.Event()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stalling)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
fs = s3fs.S3FileSystem(
    key="a", secret="b", endpoint_url=f"http://127.0.0.1:{server.server_port}", skip_instance_cache=True,
    client_kwargs={"region_name": "us-east-1"},
    config_kwargs={"read_timeout": 1, "retries": {"max_attempts": 0}, "s3": {"addressing_style": "path"}},
)
fs.retries = 1
raised: dict[str, BaseException] = {}
for name, read in (("cat_file", lambda: fs.cat_file("b/film")), ("open", lambda: fs.open("b/film", "rb").read())):
    try:
        read()
    except Exception as error:
        raised[name] = error
    print(f"{name}: {type(raised.get(name)).__name__}: {raised.get(name)}")
stumbled = raised["open"]
same = (
    isinstance(raised["cat_file"], FSTimeoutError)
    and type(stumbled) is IndexError
    and not isinstance(stumbled, OSError)
    and isinstance(stumbled.__context__, FSTimeoutError)
)
print("as described" if same else "s3fs now says what happened", flush=True)
os._exit(0 if same else 1)  # connections that still wait are not waited for
P
