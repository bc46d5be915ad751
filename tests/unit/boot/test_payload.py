"""The importer that travels, and the two records that the injector works with."""

import marshal
import struct
import sys
import traceback
import zlib
from importlib.util import MAGIC_NUMBER

import pytest

from remora.boot.attach.luggage import pack_start, pack_stop
from remora.boot.attach.payload import Luggage, run
from remora.boot.attach.region import VIEW_NAME, region_size
from remora.boot.attach.x86_64 import X86_64

SOURCES = {
    "remora.__init__": b"__version__ = '1'\n",
    "remora.room.__init__": b"from remora.room.part import fail\n",
    "remora.room.part": b"def fail():\n    raise ValueError('here')\n",
}


@pytest.fixture(params=["sources", "codes"])
def luggage(request):
    codes = {
        name: marshal.dumps(compile(source, f"<remora 1>/{name}", "exec"))
        for name, source in SOURCES.items()
    }
    order = {
        "version": "1",
        "names": frozenset(SOURCES),
        "sources": zlib.compress(marshal.dumps(SOURCES)),
        "codes": zlib.compress(marshal.dumps(codes)),
        "magic": MAGIC_NUMBER if request.param == "codes" else b"other",
    }
    return Luggage(order)


@pytest.fixture
def imported(luggage):
    """Our own modules are out of the way while those that travel are there."""
    own = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_ours(name)}
    sys.meta_path.insert(0, luggage)
    try:
        yield __import__("remora.room", fromlist=["fail"])
    finally:
        sys.meta_path.remove(luggage)
        for name in list(sys.modules):
            if _is_ours(name):
                del sys.modules[name]
        sys.modules.update(own)


def _is_ours(name):
    return name.partition(".")[0] == "remora"


def test_packages_and_modules_come_out_of_it(imported):
    assert imported.__name__ == "remora.room"
    assert imported.__path__ == ["<remora 1>/room"]
    assert sys.modules["remora.room.part"].__file__ == "<remora 1>/room/part.py"


def test_tracebacks_show_the_source(imported):
    with pytest.raises(ValueError, match="here") as caught:
        imported.fail()
    text = "".join(traceback.format_exception(caught.value))
    assert "raise ValueError('here')" in text


def test_it_answers_for_nobody_else(luggage, imported):
    assert luggage.find_spec("json") is None
    assert luggage.find_spec("remoras") is None
    with pytest.raises(ModuleNotFoundError, match=r"no module 'remora\.cli'"):
        __import__("remora.cli")


def test_nothing_that_happens_in_the_target_gets_out():
    for order in (b"no marshal at all", marshal.dumps({"what": "start"})):
        page = memoryview(bytearray(order + bytes(2000)))
        buffer = page.obj
        run(page, len(order))
        size = struct.unpack_from("<I", buffer, len(order))[0]
        answer = bytes(buffer[len(order) + 4 : len(order) + 4 + size])
        assert b'"error": "unexpected"' in answer


def test_the_text_is_one_expression_and_names_nothing():
    for parcel in (pack_stop(), pack_start({}, ())):
        code = compile(parcel.text.decode("ascii"), "<text>", "eval")
        assert set(code.co_names) <= {
            "__import__", "exec", "compile", "decompress", "__dict__", "pop",
        }  # fmt: skip
        assert VIEW_NAME in code.co_consts
        assert region_size(parcel.text, parcel.luggage) % 4096 == 0


def test_no_name_of_what_stays_behind_travels():
    order = marshal.loads(pack_start({}, ()).luggage)
    rooms = {name.split(".")[1] for name in order["names"]}
    assert rooms.isdisjoint({"cli", "server", "demo", "boot", "__main__"})
    assert {"agent", "expression", "protocol", "packs"} <= rooms


def test_a_frame_holds_every_register_where_sigreturn_looks():
    registers = {name: 1000 + at for at, name in enumerate(X86_64.registers)}
    registers.update(rsp=0x7FFF0000, orig_rax=2**64 - 1)
    start, frame = X86_64.build_frame(registers, bytes(512), 0xF0, 0xABCDEF)
    assert start % 16 == 8
    assert start + len(frame) <= registers["rsp"] - X86_64.red_zone
    assert struct.unpack_from("<Q", frame)[0] == 0xABCDEF
    values = struct.unpack_from("<18Q", frame, 8 + 40)
    order = "r8 r9 r10 r11 r12 r13 r14 r15 rdi rsi rbp rbx rdx rax rcx rsp rip eflags"
    assert dict(zip(order.split(), values, strict=True)) == {
        name: registers[name] for name in order.split()
    }
    assert struct.unpack_from("<Q", frame, 8 + 296)[0] == 0xF0


@pytest.mark.parametrize(
    ("call", "result", "entered"),
    [
        (202, -512, 202),  # made again
        (7, -516, 219),  # with the time that is left
        (1, 5, 2**64 - 1),  # it was over: its result stays
        (2**64 - 1, 0, 2**64 - 1),  # in no call
    ],
)
def test_an_interrupted_call_goes_on(call, result, entered):
    registers = {"orig_rax": call, "rax": result % 2**64, "r10": 0, "rdx": 1}
    assert X86_64.restart(registers)["orig_rax"] == entered


def test_epoll_without_a_timeout_is_entered_anew_and_with_one_says_eintr():
    registers = {"orig_rax": 232, "rax": -4 % 2**64, "r10": 2**32 - 1, "rdx": 1}
    assert X86_64.restart(registers)["orig_rax"] == 232
    registers["r10"] = 1000
    assert X86_64.restart(registers)["orig_rax"] == 2**64 - 1
