"""What a program may meet below it: a clock that is set, a file system that is full, a disk that cannot be read.

A small library is loaded before libc (``LD_PRELOAD``) and answers in its place. It needs no privileges, and a program's
own libraries (FFmpeg, Arrow, SQLite) meet it as Python does.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

# Steady clocks and the times that the file system gives are left as they are. Bytes written below a folder are counted
# over all processes, in a file that they share.
_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#define LIBC(name) static __typeof__(&name) libc; if (!libc) libc = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static long jump(long now) {
  const char *at = getenv("CLOCK_SET_AT");
  return at && now >= atol(at) ? atol(getenv("CLOCK_SET_BY")) : 0;
}
int clock_gettime(clockid_t which, struct timespec *out) {
  LIBC(clock_gettime);
  int code = libc(which, out);
  if (!code && which == CLOCK_REALTIME) out->tv_sec += jump(out->tv_sec);
  return code;
}
int gettimeofday(struct timeval *restrict out, void *restrict zone) {
  struct timespec now;
  (void)zone;
  int code = clock_gettime(CLOCK_REALTIME, &now);
  out->tv_sec = now.tv_sec;
  out->tv_usec = now.tv_nsec / 1000;
  return code;
}
time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}

static int lies_at(int fd, const char *place, int below) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  size_t size = strlen(place);
  return !strncmp(path, place, size) && (path[size] == 0 || (below && path[size] == '/'));
}
static int full(int fd, size_t more) {
  static long *used;
  int before = errno;
  const char *place = getenv("FULL_BELOW");
  if (!place || !lies_at(fd, place, 1)) { errno = before; return 0; }
  if (!used) {
    int counter = open(getenv("FULL_COUNTER"), O_RDWR);
    used = mmap(NULL, sizeof *used, PROT_READ | PROT_WRITE, MAP_SHARED, counter, 0);
    close(counter);
  }
  long after = __sync_add_and_fetch(used, (long)more);
  errno = before;
  if (after <= atol(getenv("FULL_AFTER"))) return 0;
  errno = ENOSPC;
  return 1;
}
static int unreadable(int fd) {
  int before = errno;
  const char *place = getenv("UNREADABLE");
  int found = place && fd >= 0 && lies_at(fd, place, 0);
  errno = found ? EIO : before;
  return found;
}
static size_t sum(const struct iovec *parts, int count) {
  size_t size = 0;
  for (int n = 0; n < count; n++) size += parts[n].iov_len;
  return size;
}

ssize_t write(int fd, const void *data, size_t size) { LIBC(write); return full(fd, size) ? -1 : libc(fd, data, size); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
  LIBC(pwrite); return full(fd, size) ? -1 : libc(fd, data, size, at);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
  LIBC(pwrite64); return full(fd, size) ? -1 : libc(fd, data, size, at);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
  LIBC(writev); return full(fd, sum(parts, count)) ? -1 : libc(fd, parts, count);
}
ssize_t read(int fd, void *data, size_t size) { LIBC(read); return unreadable(fd) ? -1 : libc(fd, data, size); }
ssize_t pread(int fd, void *data, size_t size, off_t at) {
  LIBC(pread); return unreadable(fd) ? -1 : libc(fd, data, size, at);
}
ssize_t pread64(int fd, void *data, size_t size, off64_t at) {
  LIBC(pread64); return unreadable(fd) ? -1 : libc(fd, data, size, at);
}
ssize_t readv(int fd, const struct iovec *parts, int count) {
  LIBC(readv); return unreadable(fd) ? -1 : libc(fd, parts, count);
}
ssize_t sendfile(int to, int from, off_t *at, size_t size) {
  LIBC(sendfile); return unreadable(from) || full(to, size) ? -1 : libc(to, from, at, size);
}
ssize_t sendfile64(int to, int from, off64_t *at, size_t size) {
  LIBC(sendfile64); return unreadable(from) || full(to, size) ? -1 : libc(to, from, at, size);
}
ssize_t copy_file_range(int from, off64_t *begin, int to, off64_t *at, size_t size, unsigned flags) {
  LIBC(copy_file_range); return unreadable(from) || full(to, size) ? -1 : libc(from, begin, to, at, size, flags);
}
void *mmap(void *where, size_t size, int access, int flags, int fd, off_t at) {
  LIBC(mmap); return unreadable(fd) ? MAP_FAILED : libc(where, size, access, flags, fd, at);
}
void *mmap64(void *where, size_t size, int access, int flags, int fd, off64_t at) {
  LIBC(mmap64); return unreadable(fd) ? MAP_FAILED : libc(where, size, access, flags, fd, at);
}
"""


def can_be_told() -> bool:
    """Whether there is a C compiler, without which the library cannot be made."""
    return shutil.which("cc") is not None


@contextlib.contextmanager
def _told(**said: object) -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="aiprod-system-") as folder:
        source, library, counter = (Path(folder) / name for name in ("system.c", "system.so", "counter"))
        source.write_text(_SOURCE, encoding="utf-8")
        counter.write_bytes(bytes(8))
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-w", "-o", library, source, "-ldl"], check=True)
        yield {"LD_PRELOAD": str(library), "FULL_COUNTER": str(counter), **{k: str(v) for k, v in said.items()}}


def clock_set(after_s: float, by_s: float) -> contextlib.AbstractContextManager[dict[str, str]]:
    """Variables of a program for which the time of day is another from a moment on."""
    return _told(CLOCK_SET_AT=int(time.time() + after_s), CLOCK_SET_BY=int(by_s))


def full_below(folder: Path, after: int) -> contextlib.AbstractContextManager[dict[str, str]]:
    """Variables of a program that can write ``after`` bytes below a folder: then there is no space left (ENOSPC)."""
    return _told(FULL_BELOW=folder.resolve(), FULL_AFTER=after)


def unreadable(path: Path) -> contextlib.AbstractContextManager[dict[str, str]]:
    """Variables of a program that can open a file and read nothing of it (EIO)."""
    return _told(UNREADABLE=path.resolve())
