"""Starts sandboxes: with bubblewrap, Docker, Podman, or, if the user insists, without any protection.

A backend is a function that starts one sandbox within limits::

    def start_bubblewrap(limits: Limits) -> SandboxProcess: ...

    BACKENDS = {"bubblewrap": start_bubblewrap, ...}

Programs and verdicts are handled by `harness.sandbox.pool`.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import itertools
import logging
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InputError
from harness.sandbox import cgroups
from harness.sandbox.inside import isolation, start
from harness.sandbox.programs import Limits

log = logging.getLogger(__name__)

VARIABLE = "HARNESS_SANDBOX"
IMAGE_VARIABLE = "HARNESS_SANDBOX_IMAGE"
SITE_VARIABLE = "HARNESS_SANDBOX_SITE"
INSIDE = Path(__file__).parent / "inside"
NOBODY = "65534"
SCRATCH = isolation.SCRATCH
_container_numbers = itertools.count()
_override: contextvars.ContextVar[str | None] = contextvars.ContextVar("sandbox_backend", default=None)


class SandboxError(InputError):
    """No sandbox is available here, or the requested backend is unknown or does not work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxProcess:
    """A sandbox that was started.

    Attributes:
        process: Its outermost process. Its standard input and output lead to the examiner.
        clean_up: Removes what is left once `process` has ended: a control group, a container, a folder.
        limit_processes: Whether the sandbox must limit the number of its processes itself.
    """

    process: subprocess.Popen[bytes]
    clean_up: Callable[[], None]
    limit_processes: bool = True


def interpreter() -> str:
    """Return the path of the interpreter itself, not of a virtual environment's link to it."""
    return os.path.realpath(sys.executable)


def site_folder() -> Path | None:
    """Return the folder of packages that programs may import; None if the user names none. Raises: SandboxError."""
    name = os.environ.get(SITE_VARIABLE)
    if not name:
        return None
    folder = Path(name).expanduser().absolute()
    if not folder.is_dir():
        raise SandboxError(
            f"{SITE_VARIABLE}={name!r} is not a folder; name one that packages were installed in (pip install --target)"
        )
    return folder


def visible_folders() -> list[Path]:
    """Return the folders of this machine that programs see: the libraries, and none of a virtual environment."""
    libraries = {Path("/lib"), Path("/lib64"), Path("/usr/lib"), Path("/usr/lib64"), Path("/usr/local/lib")}
    libraries |= {Path(sysconfig.get_path("stdlib")).parent, Path(sys.base_exec_prefix, sys.platlibdir)}
    return sorted(folder for folder in libraries if folder.is_dir())


def bubblewrap_command() -> list[str]:
    """Return the command line of one sandbox: only the interpreter and its libraries are visible, read-only.

    `inside.start` goes on from there. It needs privileges within the sandbox's own user namespace, which it takes away
    from every program, and a whole ``/proc``, because the kernel allows only those who see one to mount another.
    """
    python = interpreter()
    command = [
        *("bwrap", "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"),
        *("--unshare-cgroup-try", "--uid", NOBODY, "--gid", NOBODY, "--hostname", "sandbox"),
        *("--new-session", "--die-with-parent", "--as-pid-1", "--clearenv", "--cap-drop", "ALL"),
        *("--cap-add", "CAP_SYS_ADMIN", "--cap-add", "CAP_SYS_CHROOT", "--cap-add", "CAP_NET_ADMIN"),
        *("--setenv", "HOME", SCRATCH, "--setenv", "PYTHONHASHSEED", "0", "--setenv", "LANG", "C.UTF-8"),
        *("--setenv", "LD_BIND_NOW", "1"),  # otherwise each fork resolves symbols anew
    ]
    covered = ["/server/inside"]
    for folder in visible_folders():
        if folder.is_symlink():
            command += ["--symlink", str(folder.readlink()), str(folder)]
        else:
            command += ["--ro-bind", str(folder), str(folder)]
            covered.append(str(folder))
    site = site_folder()
    if site:
        command += ["--ro-bind", str(site), start.SITE]
        covered.append(start.SITE)
    command += ["--ro-bind", python, python, "--ro-bind", str(INSIDE), "/server/inside"]
    command += ["--ro-bind", str(Path(python).parent), start.INTERPRETER]
    command += ["--dir", start.EMPTY, "--dir", "/etc"]
    command += ["--bind", "/proc", "/proc", "--dev", "/dev", "--tmpfs", SCRATCH, "--remount-ro", "/", "--"]
    return command + start.server_command(python, "/server", f"start.main({python!r}, {covered!r})")


def start_bubblewrap(limits: Limits) -> SandboxProcess:
    """Start one sandbox with bubblewrap, in a control group if this user may create one."""
    group = cgroups.create(limits)
    command = bubblewrap_command()
    process = _start(group.wrap(command) if group else command)
    return SandboxProcess(process=process, clean_up=lambda: group.remove() if group else None)


def container_command(program: str, name: str, limits: Limits) -> list[str]:
    """Return the same for Docker or Podman; the image's Python must have this interpreter's version."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    image = os.environ.get(IMAGE_VARIABLE, f"docker.io/library/python:{version}-slim")
    memory = f"{limits.memory_mb + limits.file_mb + cgroups.SPARE_MB}m"
    site = site_folder()
    return [
        *(program, "run", "--rm", "--interactive", "--name", name, "--network", "none", "--read-only"),
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", f"{NOBODY}:{NOBODY}"),
        *("--ipc", "private", "--pids-limit", str(limits.processes + cgroups.OWN_PROCESSES)),
        *("--memory", memory, "--memory-swap", memory),
        *("--tmpfs", f"{SCRATCH}:rw,size={limits.file_mb}m,mode=1777", "--workdir", SCRATCH),
        *("--env", f"HOME={SCRATCH}", "--env", "PYTHONHASHSEED=0", "--volume", f"{INSIDE}:/server/inside:ro"),
        *(("--volume", f"{site}:{start.SITE}:ro") if site else ()),
        image,
        *start.server_command(f"python{version}", "/server"),
    ]


def _start_container(program: str, limits: Limits) -> SandboxProcess:
    name = f"harness-sandbox-{os.getpid()}-{next(_container_numbers)}"
    remove = [program, "rm", "--force", name]
    process = _start(container_command(program, name, limits))

    def clean_up() -> None:
        subprocess.run(remove, capture_output=True, check=False)  # noqa: S603

    return SandboxProcess(process=process, clean_up=clean_up, limit_processes=False)


def start_docker(limits: Limits) -> SandboxProcess:
    """Start one sandbox with Docker."""
    return _start_container("docker", limits)


def start_podman(limits: Limits) -> SandboxProcess:
    """Start one sandbox with Podman."""
    return _start_container("podman", limits)


def start_unsafe(limits: Limits) -> SandboxProcess:  # noqa: ARG001 - every backend takes the limits
    """Start the server as a plain process of this user: only the limits of time and memory hold."""
    scratch = tempfile.mkdtemp(prefix="harness-unsafe-")
    environment = {"HOME": scratch, "PYTHONHASHSEED": "0", "LANG": "C.UTF-8"}
    call = f"server.main(site={str(site_folder() or '')!r})"
    process = _start(
        start.server_command(interpreter(), str(INSIDE.parent), call), cwd=scratch, environment=environment
    )
    return SandboxProcess(
        process=process,
        clean_up=lambda: shutil.rmtree(scratch, ignore_errors=True),
        limit_processes=False,
    )


def _start(
    command: Sequence[str], *, cwd: str | None = None, environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a process with pipes to it."""
    return subprocess.Popen(  # noqa: S603 - the command is ours
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=environment,
        bufsize=0,
        start_new_session=True,
    )


BACKENDS: dict[str, Callable[[Limits], SandboxProcess]] = {
    "bubblewrap": start_bubblewrap,
    "docker": start_docker,
    "podman": start_podman,
    "unsafe": start_unsafe,
}
ALLOWED = "auto, " + ", ".join(BACKENDS)
UNPROTECTED = "or run the programs unprotected with --unsafe_code allow"
REMEDY = f"install bubblewrap (Debian: apt install bubblewrap), or set {VARIABLE}=docker or podman, {UNPROTECTED}"


@contextlib.contextmanager
def use_backend(name: str | None) -> Iterator[None]:
    """Run programs with the backend `name` inside the ``with`` block, whatever ``HARNESS_SANDBOX`` says.

    For callers that cannot pass `backend` to `harness.sandbox.run_programs`, such as a filter that lm-eval calls::

        with use_backend("unsafe" if unsafe_code else None):
            lm_eval.evaluate(...)  # its filters call run_programs(programs)

    The environment is not changed. An explicit `backend` argument still wins; blocks nest, and None keeps the backend
    that holds outside. The choice belongs to the calling thread: a thread started inside the block does not inherit
    it, so no thread that outlives the block can go on running programs unprotected. Do not ``yield`` inside the block
    of a generator: the code that consumes the generator would run with this backend too.

    Raises:
        SandboxError: `name` is not a backend.
    """
    if name is not None:
        _check_name(name, "backend")
    token = _override.set(name or _override.get())
    try:
        yield
    finally:
        _override.reset(token)


def choose(name: str | None) -> str:
    """Resolve a backend's name: the argument, else `use_backend`, else ``HARNESS_SANDBOX``, else ``auto`` (bubblewrap).

    Raises:
        SandboxError: The name is not a backend, or that backend is not installed or does not work here.
    """
    if name := name or _override.get():
        _check_name(name, "backend")
    else:
        name = os.environ.get(VARIABLE, "auto")
        _check_name(name, VARIABLE)
    if name == "auto":
        name = "bubblewrap"
    problem = why_unusable(name)
    if problem:
        other = f"install or start {name}, or unset {VARIABLE} to run them with bubblewrap, {UNPROTECTED}"
        remedy = other if name in ("docker", "podman") else REMEDY
        raise SandboxError(f"cannot run untrusted programs with {name}: {problem.rstrip('.?')}; {remedy}")
    return name


def _check_name(name: str, source: str) -> None:
    """Raise SandboxError unless `name` is a backend or ``auto``; `source` is where the name comes from."""
    if name != "auto" and name not in BACKENDS:
        raise SandboxError(f"{source}={name!r}: allowed are {ALLOWED}")


@functools.cache
def why_unusable(name: str) -> str | None:
    """Return why the backend `name` cannot be used here, in half a line; None if it can. Checked once per process."""
    if name == "unsafe":
        log.warning(
            "model-written programs run UNPROTECTED: they can read and write your files, use the network and see your "
            "processes; only CPU time, wall time and memory per process are limited"
        )
        return None
    if name == "bubblewrap":
        namespaces = ("--unshare-user", "--unshare-pid", "--unshare-net", "--cap-add", "CAP_SYS_ADMIN")
        return _try(["bwrap", *namespaces, "--ro-bind", "/", "/", "--proc", "/proc", "true"]) or cgroups.problem()
    return _try([name, "info"])


def _try(command: list[str]) -> str | None:
    """Return why `command` cannot be run, the last line it wrote to standard error; None if it succeeds."""
    if shutil.which(command[0]) is None:
        return f"{command[0]} is not installed"
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    except (subprocess.TimeoutExpired, OSError) as error:
        return f"{command[0]} does not answer ({error})"
    return None if result.returncode == 0 else (result.stderr.strip().splitlines() or ["it does not start"])[-1]
