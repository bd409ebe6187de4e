"""First code in the box: give up every right that is left, then run the program.

Sent as text (`python -I -S -B -c`), so it imports the standard library only. Python
does here what `setpriv`, `prlimit` and a seccomp compiler would do elsewhere: all
back-ends get the same limits, also where those tools are missing. The order matters:
a resource limit can be set by everybody, a uid only before capabilities are gone, and
after the filter nothing that it denies can be had again.

Arguments: the settings as JSON (see `box.command`), then the program's source. Writes
`ready` and a line's end to stdout when all of it holds; only then the program runs.
"""

import ctypes
import json
import os
import platform
import resource
import signal
import struct
import sys

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP = 1, 4, 22, 24
PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4
SECCOMP_MODE_FILTER, CAPABILITIES_3 = 2, 0x20080522
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
EPERM, ENOSYS, EAFNOSUPPORT = 1, 38, 97
# Flags of clone(2) that make a namespace: time, mount, cgroup, uts, ipc, user, pid, net
NEW_NAMESPACE = 0x80 | 0x20000 | 0x2000000 | 0x4000000 | 0x8000000 | 0x70000000
SOCKETS = (1, 2, 10)  # unix, IPv4, IPv6: not vsock, which no network namespace holds

# Audit number, then the numbers of socket, clone and what is denied.
MACHINES = {"x86_64": (0xC000003E, 41, 56), "aarch64": (0xC00000B7, 198, 220)}
CLONE3 = 435
DENIED = {  # (x86_64, aarch64)
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "open_by_handle_at": (304, 265),
    "syslog": (103, 116),
    # memory that belongs to no process: neither a limit nor the parent would see it
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
}


def prctl(*arguments: int) -> bool:
    """Call prctl(2) and return whether it agreed."""
    wide = [ctypes.c_ulong(number) for number in (*arguments, 0, 0, 0, 0)[:5]]
    return ctypes.CDLL(None, use_errno=True).prctl(*wide) == 0


def limit(limits: dict[str, int]) -> None:
    """Set hard resource limits; one that is already lower stays."""
    for name, value in limits.items():
        which = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(which)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))


def drop(uid: int | None) -> None:
    """Become an ordinary user for good: no group, no capability, none to be had."""
    for capability in range(64):
        prctl(PR_CAPBSET_DROP, capability)
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    header = struct.pack("Ii", CAPABILITIES_3, 0)
    ctypes.CDLL(None).capset(header, bytes(24))


def instructions(machine: str) -> list[tuple[int, int, int, int]]:
    """Return the filter's program: (code, jump if true, jump if false, number)."""
    load, equal, at_least, any_bit, back = 0x20, 0x15, 0x35, 0x45, 0x06
    architecture, socket, clone = MACHINES[machine]
    column = list(MACHINES).index(machine)
    program = [(load, 0, 0, 4), (equal, 1, 0, architecture), (back, 0, 0, KILL)]
    program += [(load, 0, 0, 0)]
    if machine == "x86_64":  # the same calls under other numbers, x32
        program += [(at_least, 0, 1, 0x40000000), (back, 0, 0, ERRNO | EPERM)]
    for numbers in DENIED.values():
        program += [(equal, 0, 1, numbers[column]), (back, 0, 0, ERRNO | EPERM)]
    # glibc goes on with clone, whose flags can be read here
    program += [(equal, 0, 1, CLONE3), (back, 0, 0, ERRNO | ENOSYS)]
    program += [(equal, 0, 4, clone), (load, 0, 0, 16), (any_bit, 0, 1, NEW_NAMESPACE)]
    program += [(back, 0, 0, ERRNO | EPERM), (back, 0, 0, ALLOW)]
    program += [(equal, 0, 5, socket), (load, 0, 0, 16)]
    program += [(equal, 3 - n, 0, family) for n, family in enumerate(SOCKETS)]
    return [*program, (back, 0, 0, ERRNO | EAFNOSUPPORT), (back, 0, 0, ALLOW)]


def filter_calls() -> None:
    """Deny system calls that reach past the box or take memory nobody counts."""
    if platform.machine() not in MACHINES:
        return
    packed = [struct.pack("HBBI", *one) for one in instructions(platform.machine())]
    code = ctypes.create_string_buffer(b"".join(packed))
    head = struct.pack("HxxxxxxP", len(packed), ctypes.addressof(code))
    where = ctypes.addressof(held := ctypes.create_string_buffer(head))
    if not prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, where):
        raise OSError(f"the system-call filter of {len(held)} bytes was refused")


def watch(child: int, seconds: int) -> None:
    """Be the first process of the box: reap orphans, end with the child or in time."""
    signal.signal(signal.SIGALRM, lambda *_: os._exit(1))
    signal.alarm(seconds)
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def main() -> None:
    """Limit, drop, filter, tell the parent, and run the program."""
    settings, program = json.loads(sys.argv[1]), sys.argv[2]
    sys.argv[:] = ["program"]
    sys.path += settings["paths"]
    limit(settings["limits"])
    if settings["contained"]:
        sys.modules["attnbook"] = None  # its folder is covered; an import should say so
        drop(settings["uid"])
        if settings["tied"]:  # said before, and forgotten with the change of user
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        prctl(PR_SET_DUMPABLE, 0)
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        filter_calls()
    os.write(1, b"ready\n")
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 2)
    os.close(silent)
    if os.getpid() == 1:
        if child := os.fork():
            watch(child, settings["seconds"])
        os.setsid()
    exec(compile(program, "<program>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    main()
