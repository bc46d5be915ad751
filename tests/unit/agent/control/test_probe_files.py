import pytest

from remora.agent.control import read_probe_file, read_probe_files
from remora.errors import ProbeError, ProbeFileError, RemoraError


@pytest.fixture
def write(tmp_path):
    def make(text, name="shop.toml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return make


def test_probes_are_read_and_named_after_the_file_where_they_have_no_id(write):
    path = write(
        """
[[probe]]
id = "big"
target = "shop.billing:charge"
when = "amount > 1000"
log = "charged {amount}"

[[probe]]
target = "shop.cart:Cart.add"
count = true
"""
    )
    assert [probe.id for probe in read_probe_file(path)] == ["big", "shop-2"]


def test_an_empty_file_has_no_probes(write):
    assert read_probe_file(write("# nothing yet\n")) == []


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('[[probe]]\ntarget = "a:b"\nlog = "x"\nphase = "after"\n', 4, "'after'"),
        ('[[probe]]\ntarget = "a:b"\nlog = "x"\ncolour = "red"\n', 4, "'colour'"),
        ('[[probe]]\ntarget = "nowhere"\nlog = "x"\n', 2, "has no ':'"),
        ('[[probe]]\nid = "no id"\ntarget = "a:b"\nlog = "x"\n', 2, "identifier"),
        ('[[probe]]\ntarget = "a:b"\n', 1, "does nothing"),
        (
            (
                '[[probe]]\ntarget = "a:b"\nlog = "x"\n\n[[probe]]\n'
                'target = "a:b"\nlog = "y"\nlimit = { rate = "ten" }\n'
            ),
            8,
            "limit.rate = 'ten'",
        ),
        ('[[probe]]\ntarget = "a:b"\nwhen = "f(("\nlog = "x"\n', 3, "when:"),
        (
            (
                '[[probe]]\ntarget = "a:b"\nlog = "mode"\n\n[probe.limit]\nhits = 1\n\n'
                '[probe.override]\nreturn = "1"\nmode = "after"\n'
            ),
            10,
            "override.mode = 'after'",
        ),
        ('[[probe]]\ntarget = "a:b"\n[probe.count]\nby = 3\n', 4, "count.by = 3"),
        ('[[probe]]\ntarget = "a:b"\nlimit.hits = 0\nlog = "x"\n', 3, "limit.hits"),
    ],
)
def test_a_mistake_is_named_with_file_and_line(write, text, line, words):
    path = write(text)
    with pytest.raises(RemoraError) as caught:
        read_probe_file(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:{line}: ")
    assert words in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[probe]\n", "no TOML"),
        ("[probe]\nid = 'x'\n", "two brackets"),
        ("[[probes]]\nid = 'x'\n", "'probes' is no key"),
        (b"\xff\xfe", "no UTF-8"),
        ("a = " + "[" * 5000, "no TOML"),
    ],
)
def test_what_is_no_probe_file_is_refused(write, text, words):
    with pytest.raises(ProbeFileError, match=words):
        read_probe_file(write(text))


def test_a_missing_file_is_named():
    with pytest.raises(ProbeFileError, match=r"/nowhere/p.toml.*No such file"):
        read_probe_file("/nowhere/p.toml")


def test_an_id_used_twice_names_both_places(write):
    one = '[[probe]]\nid = "x"\ntarget = "a:b"\nlog = "1"\n'
    first, second = write(one, "first.toml"), write("\n" + one, "second.toml")
    with pytest.raises(ProbeError) as caught:
        read_probe_files([first, second])
    assert f"{first}:2" in str(caught.value)
    assert str(caught.value).startswith(f"{second}:3: id 'x'")
    with pytest.raises(ProbeError, match="used before"):
        read_probe_file(write(one + one))
