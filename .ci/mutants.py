"""Mutation testing of the pure modules, each with its own tests: `make mutants`. Hours long, so never in CI.

cosmic-ray changes a module in one place, runs the tests, and tells whether they noticed. It works on a copy of the
tree under build/mutants, where it goes on after an interruption. The tests run in forks of one process that has
imported the libraries already (`mutants_server.py`). Survivors are listed in build/mutants/survivors.txt: each is
killed by a test, or named in docs/testing.md as one that changes nothing.

    make mutants                                          all modules
    make mutants MODULES="rtcpeer/supervisor/policy.py"   some
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mutants_server

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build" / "mutants"
TREE = WORK / "tree"
# packages without I/O, and what is pure of others
PURE = (
    "rtcpeer/jsep",
    "rtcpeer/sdp",
    "rtcpeer/ice",
    "rtcpeer/stun/message.py",
    "rtcpeer/stun/credentials.py",
    "rtcpeer/turn",
    "rtcpeer/sctp",
    "rtcpeer/rtp",
    "rtcpeer/config/servers.py",
    "rtcpeer/config/readers.py",
    "rtcpeer/signaling/glance.py",
    "rtcpeer/signaling/rooms/state.py",
    "rtcpeer/supervisor/delivery.py",
    "rtcpeer/supervisor/handover.py",
    "rtcpeer/supervisor/policy.py",
    "rtcpeer/supervisor/recovery.py",
    "rtcpeer/supervisor/remote_tracks.py",
    "rtcpeer/media/file_time.py",
    "rtcpeer/media/frame_queue.py",
)
# Of the many replacements of one operator, those that are hard to notice: its neighbour and its opposite. A "|" is
# left alone, as most stand in annotations, which nobody runs.
REPLACED = {
    "BinaryOperator": "Add_Sub|Sub_Add|Mul_Div|Div_Mul|FloorDiv_Mul|Mod_FloorDiv|Pow_Mul|LShift_RShift|RShift_LShift"
    "|BitAnd_BitOr|BitXor_BitAnd",
    "ComparisonOperator": "Eq_NotEq|NotEq_Eq|Lt_LtE|Lt_GtE|LtE_Lt|LtE_Gt|Gt_GtE|Gt_LtE|GtE_Gt|GtE_Lt|Is_IsNot|IsNot_Is"
    "|In_NotIn|NotIn_In",
}
SERVER = Path(__file__).with_name("mutants_server.py")
# A mutant whose tests take so many seconds on the clock counts as noticed. `mutants_server.py` ends those that compute
# far sooner; these wait for what never comes, and a busy machine may be slow without any mutant.
WAITS_MAX = 600.0


def modules(wanted: list[str]) -> list[Path]:
    """The modules to mutate, as paths from the root."""
    found = []
    for name in wanted or PURE:
        path = ROOT / name
        found += sorted(path.glob("*.py")) if path.is_dir() else [path]
    return [path.relative_to(ROOT) for path in found if path.name != "__init__.py"]


def tests_of(module: Path) -> list[str]:
    """A module's own tests with those of its package that are no other module's; all of these where it has none."""
    package = Path("tests/unit", *module.parts[1:-1])
    own = package / f"test_{module.name}"
    if not (ROOT / own).exists():
        return [str(package)]
    names = [path.name for path in sorted((ROOT / package).glob("test_*.py"))]
    shared = [n for n in names if not (ROOT / module.parent / n.removeprefix("test_")).exists()]
    return [str(own), *(str(package / name) for name in shared)]


def copy_tree() -> None:
    """Bring the copy up to date with what git knows of."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        source, target = ROOT / name, TREE / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


@contextlib.contextmanager
def server(python: str, module: Path) -> Iterator[str]:
    """A process that runs the module's tests; the command that asks it for a run."""
    socket = WORK / "socket"
    socket.unlink(missing_ok=True)
    version = subprocess.run(
        [python, "-c", "import sys; print(sys.implementation.cache_tag)"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    cached = TREE / module.parent / "__pycache__" / f"{module.stem}.{version}.pyc"
    # the server has imported plugins of pytest before pytest could rewrite their assertions
    quiet = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    tests = ["-x", "-q", "-p", "no:cacheprovider", *quiet, *tests_of(module)]
    process = subprocess.Popen(
        [python, SERVER, "serve", socket, TREE, cached, *tests],
        cwd=TREE, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise SystemExit("the process for test runs did not start")
        yield f"{python} -S {SERVER} ask {socket}"
    finally:
        process.communicate()
        socket.unlink(missing_ok=True)


def mutate(cosmic_ray: str, python: str, module: Path) -> tuple[int, list[str]]:
    """Try all mutants of a module: how many there were, and the differences that no test noticed."""
    # what is tested must pass before anything is changed, and its bytecode is there then
    subprocess.run(
        [python, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests_of(module)],
        cwd=TREE, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
    )  # fmt: skip
    with server(python, module) as command:
        # the measure for those that follow
        subprocess.run(command.split(), check=True)
        return run_all(cosmic_ray, module, command)


def run_all(cosmic_ray: str, module: Path, command: str) -> tuple[int, list[str]]:
    """Let cosmic-ray do what it has not done yet."""
    name = "-".join(module.with_suffix("").parts)
    excluded = [f"core/Replace{kind}_(?!({kept})$)" for kind, kept in REPLACED.items()]
    config, session = WORK / f"{name}.toml", WORK / f"{name}.sqlite"
    config.write_text(
        f'[cosmic-ray]\nmodule-path = "{module}"\ntimeout = {WAITS_MAX}\nexcluded-modules = []\n'
        f'test-command = {json.dumps(command)}\n\n[cosmic-ray.distributor]\nname = "local"\n\n'
        f"[cosmic-ray.filters.operators-filter]\nexclude-operators = {json.dumps(excluded)}\n"
    )
    if not session.exists():
        subprocess.run([cosmic_ray, "init", config, session], cwd=TREE, check=True)
        subprocess.run(
            [Path(cosmic_ray).with_name("cr-filter-operators"), session, config], cwd=TREE, check=True
        )
    try:
        # without us nobody would answer it, and it would take that for tests that fail
        subprocess.run(
            [cosmic_ray, "exec", config, session],
            cwd=TREE, check=True, preexec_fn=mutants_server.end_with_parent,
        )  # fmt: skip
    finally:
        shutil.copyfile(ROOT / module, TREE / module)  # an interruption may have left a mutant
    dumped = subprocess.run(
        [cosmic_ray, "dump", session], cwd=TREE, check=True, capture_output=True, text=True
    ).stdout
    results = [json.loads(line)[1] for line in dumped.splitlines()]
    tried = [result for result in results if result is not None and result["test_outcome"] is not None]
    return len(tried), [result["diff"] for result in tried if result["test_outcome"] == "survived"]


def main() -> None:
    """Try the modules that were named, or all."""
    cosmic_ray, python, *wanted = sys.argv[1:]
    mutants_server.leave_when_told()
    # make tells its shell alone
    mutants_server.end_with_parent(signal.SIGTERM)
    copy_tree()
    report = (WORK / "survivors.txt").open("a", encoding="utf-8")
    with report:
        for module in modules(wanted):
            count, survivors = mutate(cosmic_ray, python, module)
            sys.stdout.write(
                f"{module}: {len(survivors)} of {count} mutants survived {' '.join(tests_of(module))}\n"
            )
            sys.stdout.flush()
            for difference in survivors:
                report.write(f"{module}\n{difference}\n\n")
            report.flush()


if __name__ == "__main__":
    main()
