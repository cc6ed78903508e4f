"""Takes from a worker process what decoding a film needs nothing of: network, programs, and files to write.

Films come from strangers, and decoders are large. Should a film make one run code of its own, that code finds a process
that can open no connection, start no program, look into or signal no other process, and write nowhere but where its
results go. The kernel holds it to that: seccomp (Linux 3.17, on x86-64 and AArch64) refuses system calls, Landlock
(Linux 5.13) refuses files. Where a kernel offers neither, workers run as before and :func:`offered` says so.

Nothing taken here can be given back. A film that lies elsewhere is fetched before :func:`close_network`, so a worker
whose network is closed cannot take the next such film: its pool starts another.

Sources: seccomp(2), landlock(7), bpf filters as in <linux/filter.h>.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

_PR_SET_NO_NEW_PRIVS = 38
_SET_MODE_FILTER, _ALL_THREADS = 1, 1
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # opcodes of classic BPF
_NUMBER_AT, _ARCH_AT = 0, 4  # in struct seccomp_data
_X32 = 0x40000000  # added to a number by programs of x86-64's 32-bit interface

# Architecture → (its mark in seccomp_data, number of seccomp itself).
_ARCHITECTURES = {"x86_64": (0xC000003E, 317), "aarch64": (0xC00000B7, 277)}
# System call → its number on x86-64 and on AArch64 (asm/unistd_64.h, asm-generic/unistd.h); None: not there.
_NETWORK = {"socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201)}
_ELSEWHERE: dict[str, tuple[int | None, int | None]] = {
    "execve": (59, 221),
    "execveat": (322, 281),
    "kill": (62, 129),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438),
    "io_uring_setup": (425, 425),  # its requests pass by this filter
    "userfaultfd": (323, 282),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "open_by_handle_at": (304, 265),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "reboot": (169, 142),
    "iopl": (172, None),
    "ioperm": (173, None),
}

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on both
_VERSION_FLAG, _PATH_BENEATH = 1, 1
# What a program may do to files, by the version of Landlock that knows it; reading and running stay as they are.
_WRITE_FILE, _TRUNCATE = 1 << 1, 1 << 14
_MAKE_AND_REMOVE = sum(1 << bit for bit in range(4, 13))
_REFER = 1 << 13  # renaming and linking from one folder to another
_SIGNALS, _ABSTRACT_SOCKETS = 1 << 1, 1 << 0  # scopes
_DEVICES = ("null", "zero", "full", "random", "urandom", "shm", "dri", "kfd")

_closed = False


def offered() -> list[str]:
    """What this machine's kernel can hold a worker to, in words; empty where it can nothing."""
    said = []
    if _filters():
        said.append("no network, no other programs")
    if _landlock() > 0:
        said.append("writes only results and temporary files")
    return said


def confine(writable: Iterable[Path]) -> None:
    """Take everything but reading and the network from this process, which has one thread.

    Args:
        writable: folders below which it still makes, changes and removes files. They exist.
    """
    _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _restrict_files([*writable, *_devices()])
    _refuse(_ELSEWHERE)


def close_network() -> None:
    """Open no connection from now on, in any thread. Without effect on a process that was not confined."""
    global _closed  # noqa: PLW0603
    if not _closed and confined():
        _closed = _refuse(_NETWORK)


def network_closed() -> bool:
    """Whether :func:`close_network` has taken effect in this process."""
    return _closed


def confined() -> bool:
    """Whether this process can gain no rights any more, as after :func:`confine`."""
    return bool(sys.platform == "linux" and _libc().prctl(39, 0, 0, 0, 0) == 1)  # PR_GET_NO_NEW_PRIVS


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _filters() -> bool:
    """Whether seccomp is there: an impossible filter is refused for what it is, and not for what it wants."""
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _ARCHITECTURES:
        return False
    ctypes.set_errno(0)
    _libc().syscall(_ARCHITECTURES[machine][1], _SET_MODE_FILTER, 0, None)
    return ctypes.get_errno() == errno.EFAULT


def _refuse(calls: dict[str, tuple[int, int]] | dict[str, tuple[int | None, int | None]]) -> bool:
    """Let system calls fail with EPERM; False where this kernel cannot."""
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _ARCHITECTURES:
        return False
    mark, seccomp = _ARCHITECTURES[machine]
    column = list(_ARCHITECTURES).index(machine)
    numbers = [number for pair in calls.values() if (number := pair[column]) is not None]
    # Jumps count instructions from the next one: all lead to the last two, which allow and refuse.
    lines = [(_LOAD, 0, 0, _ARCH_AT), (_EQUAL, 0, len(numbers) + 3, mark), (_LOAD, 0, 0, _NUMBER_AT)]
    lines.append((_AT_LEAST, len(numbers) + 1, 0, _X32))
    lines += [(_EQUAL, len(numbers) - n, 0, number) for n, number in enumerate(numbers)]
    lines += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    program = ctypes.create_string_buffer(struct.pack("HP", len(lines), ctypes.addressof(code)))
    return bool(_libc().syscall(seccomp, _SET_MODE_FILTER, _ALL_THREADS, program) == 0)


def _landlock() -> int:
    """Version of Landlock; 0 or less where there is none."""
    if sys.platform != "linux":
        return 0
    return int(_libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG))


def _restrict_files(writable: Iterable[Path]) -> None:
    version = _landlock()
    if version <= 0:
        return
    handled = _WRITE_FILE | _MAKE_AND_REMOVE | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    # handled_access_fs, handled_access_net, scoped; a kernel that knows less takes fewer of them
    wanted = struct.pack("QQQ", handled, 0, _SIGNALS | _ABSTRACT_SOCKETS)
    wanted = wanted if version >= 6 else wanted[:8]
    libc = _libc()
    rules = libc.syscall(_CREATE_RULESET, wanted, ctypes.c_size_t(len(wanted)), 0)
    if rules < 0:
        return
    try:
        for place in writable:
            beneath = os.open(place, os.O_PATH | os.O_CLOEXEC)
            try:
                allowed = handled if os.path.isdir(place) else handled & (_WRITE_FILE | _TRUNCATE)
                rule = struct.pack("=Qi", allowed, beneath)
                if libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, rule, 0) != 0:
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(place))
            finally:
                os.close(beneath)
        libc.syscall(_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def _devices() -> list[Path]:
    """Devices that programs write to: the harmless ones, memory, and those of graphics cards."""
    found = [Path("/dev") / name for name in _DEVICES]
    return [path for path in [*found, *Path("/dev").glob("nvidia*")] if path.exists()]
