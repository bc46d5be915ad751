"""Making a site of a holder that was found."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any

from remora.agent.targets import raw
from remora.agent.targets.classify import (
    bound_by,
    call_of_metaclass,
    classify,
    function_under,
    layer_under,
    maker_of,
    property_part,
)
from remora.agent.targets.code import running_code
from remora.agent.targets.signature import (
    NOTHING,
    UNKNOWN,
    signature_of_c,
    signature_of_compiled,
    signature_of_function,
)
from remora.agent.targets.site import CLASSES, Site, SiteKind

if TYPE_CHECKING:
    from types import CodeType

    from remora.agent.modules import LoadedModule
    from remora.agent.targets.classify import Classified
    from remora.agent.targets.signature import Signature

AppValue = Any


def build(
    module: LoadedModule,
    qualname: str,
    owner: AppValue,
    holder: AppValue,
    *,
    base: type | None = None,
    part: SiteKind | None = None,
) -> Site | None:
    """Return the site of a holder, or None where it is a value and no code.

    `base` is the class that defines it, where that is another one than the owner;
    `part` chooses the setter or deleter of a property.
    """
    in_class = raw.is_class(owner)
    found = (
        property_part(holder, part)
        if part is not None
        else classify(holder, in_class=in_class)
    )
    if found is None:
        return None
    kind, note = found.kind, found.note
    if base is not None:
        if kind is SiteKind.METHOD:
            kind = SiteKind.INHERITED_METHOD
        source = f"inherited from {raw.class_module(base)}:{raw.class_qualname(base)}"
        note = f"{source}, {note}" if note else source
    function = found.function
    code = None if function is None else running_code(function.__code__)
    return Site(
        module=module.name,
        qualname=qualname,
        kind=kind,
        owner=owner,
        name=_name(qualname, found),
        holder=holder,
        function=function,
        code=code,
        own=base is None or kind in CLASSES,
        file="" if code is None else code_file(module, code),
        line=0 if code is None else code.co_firstlineno,
        note=note,
        signature=_signature(found, holder, is_inherited=base is not None),
    )


def _signature(
    found: Classified, holder: AppValue, *, is_inherited: bool
) -> Signature | None:
    """What a call takes, where no code of a Python function says it."""
    if found.kind is SiteKind.C_FUNCTION:
        return signature_of_c(holder, drops_first=True)
    if found.kind is SiteKind.LRU_CACHE or found.kind is SiteKind.PARTIAL:
        return _signature_of_object(found, holder)
    if found.kind is SiteKind.C_METHOD:
        return signature_of_c(holder, drops_first=False)
    if found.kind in CLASSES:
        return _signature_of_class(holder)
    if found.kind is SiteKind.CYTHON_FUNCTION:
        return signature_of_compiled(holder)
    if found.kind is SiteKind.INSTANCE and found.function is None:
        return UNKNOWN
    if found.kind is SiteKind.SINGLEDISPATCH and type(holder) is not FunctionType:
        return _signature_of_dispatch(holder)
    if found.function is None and raw.is_a(holder, staticmethod, classmethod):
        return signature_of_c(layer_under(holder), drops_first=False)
    if found.kind is SiteKind.WRAPPED and is_inherited and found.function is not None:
        return signature_of_function(found.function)
    return None


def _signature_of_class(cls: type) -> Signature | None:
    """What a call of a class takes; None where a function of its metaclass says it."""
    call = call_of_metaclass(cls)
    if call is not None:
        return None if type(call) is FunctionType else UNKNOWN
    function = maker_of(cls)
    if function is not None:
        return signature_of_function(function).after(1)
    homes = [raw.look_up(cls, name) for name in ("__init__", "__new__")]
    base = next((home[0] for home in homes if home and home[0] is not object), None)
    return NOTHING if base is None else signature_of_c(base, drops_first=True)


def _signature_of_dispatch(holder: AppValue) -> Signature:
    """What every implementation takes, as the first one says it.

    Before the arguments of the call come what is called, the class and the object.
    """
    under = layer_under(holder)
    function, layers = function_under(under)
    signature = UNKNOWN if function is None else signature_of_function(function)
    is_bound = function is not None and not raw.is_a(under, staticmethod)
    if is_bound and not raw.is_a(under, classmethod) and not layers:
        return signature.behind_object().behind_object()
    bare = signature.after(1) if is_bound else signature
    return bare.behind_object().behind_object().behind_object()


def _signature_of_object(found: Classified, holder: AppValue) -> Signature:
    """The parameters of a call of the object, after the object itself."""
    under = layer_under(holder)
    if found.function is None:
        signature = signature_of_c(under, drops_first=True)
    else:
        signature = signature_of_function(found.function)
    if found.kind is SiteKind.PARTIAL:
        signature = signature.after(*bound_by(holder))
    return signature.behind_object()


def build_nested(
    module: LoadedModule, qualname: str, outer: FunctionType, code: CodeType
) -> Site:
    """Return the site of code within a function: all closures, future ones too."""
    return Site(
        module=module.name,
        qualname=qualname,
        kind=SiteKind.NESTED,
        owner=outer,
        name=code.co_name,
        holder=code,
        function=None,
        code=code,
        own=True,
        file=code_file(module, code),
        line=code.co_firstlineno,
        note="every closure of this code",
    )


def code_file(module: LoadedModule, code: CodeType) -> str:
    """Return the real path of the source; asks the disk once a module only."""
    name = code.co_filename
    if name == module.namespace.get("__file__"):
        return module.file
    # Frozen modules of the standard library have their source beside the others.
    return (module.file or name) if name.startswith("<frozen ") else name


def _name(qualname: str, found: Classified) -> str:
    """Return the attribute in the owner: without the part of a property."""
    head, _, last = qualname.rpartition(".")
    if last in PROPERTY_PARTS and PROPERTY_PARTS[last] is found.kind:
        return head.rpartition(".")[2]
    return last


PROPERTY_PARTS = {
    "get": SiteKind.PROPERTY_GET,
    "set": SiteKind.PROPERTY_SET,
    "delete": SiteKind.PROPERTY_DELETE,
}
