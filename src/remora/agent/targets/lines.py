"""Line targets: which file, which code, and is it the line that was meant.

After the import of a module its own code object is gone, so the code that can still run
is found through the functions: those in the module's names and classes first, and
where these do not have the line, every function whose globals are the module's (a
search by the collector: some milliseconds, only then).
"""

from __future__ import annotations

import gc
from types import FunctionType
from typing import TYPE_CHECKING

from remora.agent.modules import ModuleState
from remora.agent.targets.build import code_file
from remora.agent.targets.code import all_code, lines_of, running_code
from remora.agent.targets.globs import sites_of
from remora.agent.targets.site import Resolution, ResolutionState, Site, SiteKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import CodeType

    from remora.agent.modules import LoadedModule, ModuleStore
    from remora.protocol import Target

_FILES_SHOWN = 5
"""Files listed when a path means several: enough to see what to write more of."""


def resolve_line(
    target: Target, store: ModuleStore, expect: str | None = None
) -> Resolution:
    """Find the code that runs a line; `expect` is the text it must have."""
    modules = [module for module in store.loaded() if is_end_of(target.module, module)]
    files = sorted({module.file for module in modules})
    if not files:
        reason = f"no imported module has the file {target.module}"
        return Resolution(target, ResolutionState.WAITING, reason=reason)
    if len(files) > 1:
        return _failed(target, _ambiguous(target, files))
    loading = [module for module in modules if module.state is ModuleState.LOADING]
    if len(loading) == len(modules):
        reason = f"module {modules[0].name} is still being imported"
        return Resolution(target, ResolutionState.WAITING, reason=reason)
    if expect is not None:
        mismatch = _mismatch(files[0], target.line, expect)
        if mismatch:
            return _failed(target, mismatch)
    sites = [site for module in modules for site in _sites(module, target)]
    if sites:
        return Resolution(target, ResolutionState.RESOLVED, tuple(sites))
    return _failed(target, _no_code(files[0], target.line, modules))


def _failed(target: Target, reason: str) -> Resolution:
    return Resolution(target, ResolutionState.FAILED, reason=reason)


def is_end_of(path: str, module: LoadedModule) -> bool:
    """Whether the real path of a module's file ends in these whole segments."""
    file = module.file
    if path.startswith("/"):
        return file == path
    return file.endswith(f"/{path}")


def _ambiguous(target: Target, files: list[str]) -> str:
    shown = ", ".join(files[:_FILES_SHOWN])
    more = len(files) - _FILES_SHOWN
    rest = f" and {more} more" if more > 0 else ""
    return f"{target.module} means several files, write more of the path: {shown}{rest}"


def _sites(module: LoadedModule, target: Target) -> Iterator[Site]:
    found = _codes_with(target.line, _functions(module), module)
    for code, function in found or _codes_with(
        target.line, _hidden_functions(module), module
    ):
        yield Site(
            module=module.name,
            qualname=code.co_qualname,
            kind=SiteKind.LINE,
            owner=module.namespace,
            name=code.co_name,
            holder=code,
            function=function,
            code=code,
            own=True,
            file=module.file,
            line=target.line,
            note="" if function is not None else "every closure of this code",
        )


def _codes_with(
    line: int, functions: Iterable[FunctionType], module: LoadedModule
) -> list[tuple[CodeType, FunctionType | None]]:
    """List the code that runs the line, with the function where it is the code's own.

    A lambda or comprehension shares its line with the code around it: both count.
    """
    found: dict[int, tuple[CodeType, FunctionType | None]] = {}
    for function in functions:
        body = running_code(function.__code__)
        for code in all_code(body):
            own = function if code is body else None
            if (
                (id(code) not in found or own is not None)
                and line in lines_of(code)
                and code_file(module, code) == module.file
            ):
                found[id(code)] = (code, own)
    return list(found.values())


def _functions(module: LoadedModule) -> list[FunctionType]:
    return [site.function for site in sites_of(module) if site.function is not None]


def _hidden_functions(module: LoadedModule) -> list[FunctionType]:
    """Functions that no name of the module leads to: closures, registered callbacks."""
    namespace = module.namespace
    return [
        holder
        for holder in gc.get_referrers(namespace)
        if type(holder) is FunctionType and holder.__globals__ is namespace
    ]


def _no_code(file: str, line: int, modules: list[LoadedModule]) -> str:
    lines: set[int] = set()
    for module in modules:
        for function in _hidden_functions(module):
            for code in all_code(function.__code__):
                if code_file(module, code) == module.file:
                    lines |= lines_of(code)
    before = max((other for other in lines if other < line), default=None)
    after = min((other for other in lines if other > line), default=None)
    near = [str(other) for other in (before, after) if other is not None]
    if not near:
        return f"{file} has no function that could run line {line}"
    verb = "lines with code are" if len(near) > 1 else "line with code is"
    return (
        f"line {line} of {file} has no code that can run again; the nearest {verb} "
        + (" and ".join(near))
    )


def _mismatch(file: str, line: int, expect: str) -> str:
    """Say how the line's text differs, indentation apart; "" when it does not."""
    try:
        with open(file, encoding="utf-8", errors="replace") as source:  # noqa: PTH123 - pathlib is not imported in the app for this
            text = next(
                (text for number, text in enumerate(source, 1) if number == line), None
            )
    except OSError as error:
        return (
            f"the source {file} cannot be read to compare line {line}: {error.strerror}"
        )
    if text is None:
        return f"{file} has no line {line}; expected {expect!r}"
    if text.strip() == expect.strip():
        return ""
    return f"line {line} of {file} is {text.strip()!r} and not {expect!r}"
