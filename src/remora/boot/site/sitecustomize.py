"""Gets the agent into a Python process, before the app's first line.

Rules of this file: it parses and runs on any Python (2.7 too), so no annotations and
no f-strings; no failure of it reaches the app; it leaves nothing behind but the agent.
PYTHONPATH stays in the environment, so that child processes get here too, unless
REMORA_CHILDREN is off. `remora install` has it run by a .pth file, under another name.
"""

# It must parse on Python 2, and nothing that it uses may cost an import.
# pyright: basic

import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.dirname(os.path.dirname(FOLDER))
OLDEST = (3, 11)


def boot():
    """Run the site's own sitecustomize as if this one were not there, then start.

    The plain import below raises what it would raise without us, ImportError where
    the site has none, and `site` deals with that as it always does.
    """
    # Python 2 clears the globals of a module that nobody holds.
    held = sys.modules.pop("sitecustomize", None)
    sys.path[:] = [entry for entry in sys.path if os.path.normpath(entry) != FOLDER]
    sys.path_importer_cache.pop(FOLDER, None)
    try:
        import sitecustomize  # noqa: F401
    except Exception:
        start()
        raise
    start()
    del held


def start():
    """Start the agent, or say in one line why not."""
    if is_off("REMORA_ENABLED"):
        return
    if is_off("REMORA_CHILDREN"):
        leave_children_alone()
    try:
        refusal = find_refusal()
        if refusal is None:
            load_agent().start()
        elif not os.environ.get("REMORA_UNSERVED_SAID"):
            os.environ["REMORA_UNSERVED_SAID"] = "1"
            say(refusal)
    except Exception as error:
        say(
            "the agent did not start, the app goes on without it: %s: %s"
            % (type(error).__name__, error)
        )


def is_off(variable):
    """Whether the environment says no, as remora/agent/config.py reads it."""
    return os.environ.get(variable, "").lower() in ("0", "false", "no", "off")


def leave_children_alone():
    """Programs that this process starts get its PYTHONPATH without us."""
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    others = [entry for entry in entries if os.path.normpath(entry) != FOLDER]
    if len(others) == len(entries):
        return
    if others:
        os.environ["PYTHONPATH"] = os.pathsep.join(others)
    else:
        os.environ.pop("PYTHONPATH", None)


def is_started_otherwise():
    """Whether a .pth file has nothing to do.

    `site` reads those of a virtual environment twice, and where `remora run` is at work
    too, its boot comes later.
    """
    return "remora" in sys.modules or any(
        os.path.normpath(entry) == FOLDER for entry in sys.path
    )


def find_refusal():
    """Why this interpreter cannot be served, or None."""
    implementation = getattr(sys, "implementation", None)
    name = getattr(implementation, "name", "cpython")
    if hasattr(sys, "pypy_version_info"):
        name = "pypy"
    if name == "cpython" and sys.version_info >= OLDEST:
        return None
    name = {"cpython": "CPython", "pypy": "PyPy"}.get(name, name)
    return (
        "%s is %s %d.%d.%d and runs without the agent, "
        "which needs CPython 3.11 or newer"
        % ((sys.executable, name) + tuple(sys.version_info[:3]))
    )


def load_agent():
    """Import the travelling package; our site-packages never get on the app's path."""
    if "remora" in sys.modules:
        return sys.modules["remora"]
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(
        "remora",
        os.path.join(PACKAGE, "__init__.py"),
        submodule_search_locations=[PACKAGE],
    )
    package = module_from_spec(spec)  # pyright: ignore[reportArgumentType] - a file has a spec
    sys.modules["remora"] = package
    try:
        package.__spec__.loader.exec_module(package)  # pyright: ignore[reportOptionalMemberAccess] - and a loader
    except BaseException:
        sys.modules.pop("remora", None)
        raise
    return package


def say(text):
    """Write one line to standard error, whatever state the process is in."""
    line = "remora[%d]: %s" % (os.getpid(), text)
    line = "".join(c if " " <= c <= "~" else " " for c in line[:1000])
    try:
        os.write(2, (line + "\n").encode("ascii", "replace"))
    except Exception:
        return


if __name__ == "sitecustomize":
    boot()
elif not is_started_otherwise():
    start()
