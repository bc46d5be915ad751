"""What this interpreter is and can do, as named flags: the only version comparisons."""

from __future__ import annotations

import os
import sys

IS_CPYTHON = sys.implementation.name == "cpython"

IS_FREE_THREADED = "t" in getattr(sys, "abiflags", "")
"""Code and version fields of a function are not written atomically together there."""

IS_KNOWN_VERSION = (3, 11) <= sys.version_info < (3, 14)
"""The versions that the mechanisms were tested on."""

CAN_SWAP_CODE = IS_CPYTHON and IS_KNOWN_VERSION and not IS_FREE_THREADED
"""Whether a function's `__code__` may be replaced by a trampoline."""

HAS_MONITORING = sys.version_info >= (3, 12)
"""PEP 669."""

CAN_MONITOR = HAS_MONITORING and CAN_SWAP_CODE
"""Whether lines can be reported by the interpreter."""

MISSES_LINE_AT_START = sys.version_info[:2] == (3, 13)
"""3.13.0 reports no line for a body that stands on the line of its `def`, unless the
start of the function is reported too."""

CAN_EDIT_CODE = CAN_SWAP_CODE
"""Whether instructions may be put into a function's bytecode, of which the form is
known for these versions. A trial in the process comes first."""

HAS_PRECALL = sys.version_info[:2] == (3, 11)
"""A call is made by two instructions, of which the first is PRECALL."""

NULL_FOLLOWS_CALLABLE = sys.version_info >= (3, 13)
"""The place for `self` on the stack lies above the callable, and not below it."""

POPS_AFTER_LOOP = sys.version_info >= (3, 13)
"""The iterator is dropped by a POP_TOP behind END_FOR; a loop that ends skips both."""

ATTRIBUTES_ARE_SHIFTED = HAS_MONITORING
"""The lowest bit of LOAD_ATTR's argument marks a method; the name's number is above."""

YIELD_TELLS_DEPTH = sys.version_info[:2] == (3, 12)
"""YIELD_VALUE says in how many handlers it stands: where that is 1, `close()` ends the
generator without running it."""

RESUME_TELLS_DEPTH = sys.version_info >= (3, 13)
"""The same is said by a bit of the RESUME behind a yield."""

WARNS_ON_FORK_WITH_THREADS = sys.version_info >= (3, 12)
"""os.fork() counts the process's threads and warns when there are several."""

FORGETS_FUNCTION_VERSION = sys.version_info[:2] == (3, 13)
"""3.13 never gives a function whose code was set a new version: calls of it stay
unspecialised for ever, also when the original code is back (interception.md 2)."""

CAN_RUN_OUR_CODE = (
    CAN_SWAP_CODE and sys.platform == "linux" and os.uname().machine == "x86_64"
)
"""Whether the few bytes of machine code of `vector_call` are for this machine."""

SPECIALISES_CONSTRUCTION = sys.version_info >= (3, 12)
"""A call of a class with a plain `__init__` is led past `tp_vectorcall` there."""

EVAL_TAKES_NAMES = sys.version_info >= (3, 13)
"""`eval` and `exec` take `globals` and `locals` by keyword."""

LOCALS_ARE_A_VIEW = sys.version_info >= (3, 13)
"""PEP 667: a function frame's `f_locals` writes through; `eval` takes a copy."""

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}.{sys.version_info[2]}"


def has_jit() -> bool:
    """Machine code made by the JIT has functions' versions and code built in."""
    import sysconfig  # asked on 3.13 only

    return "_Py_JIT" in str(sysconfig.get_config_var("PY_CORE_CFLAGS"))
