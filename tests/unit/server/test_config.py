"""Settings of the server."""

from pathlib import Path

import pytest

from remora.errors import ConfigError
from remora.server.config import ServerSettings, default_data_directory, read_settings


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.5", "::1", "localhost"])
def test_loopback_needs_nothing(host):
    assert ServerSettings(host=host).is_loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "remora.internal"])
def test_other_host_needs_tls_or_insecure(host):
    with pytest.raises(ConfigError, match="give tls_cert and tls_key, or insecure"):
        ServerSettings(host=host)
    assert not ServerSettings(host=host, insecure=True).is_loopback


def test_certificate_without_key_is_refused(tmp_path):
    cert = tmp_path / "cert.pem"
    cert.write_text("")
    with pytest.raises(ConfigError, match="belong together"):
        ServerSettings(tls_cert=cert)
    with pytest.raises(ConfigError, match="needs TLS"):
        ServerSettings(client_ca=cert)
    with pytest.raises(ConfigError, match="is no file that exists"):
        ServerSettings(tls_cert=cert, tls_key=tmp_path / "absent.pem")


def test_texts_are_read_with_their_units():
    settings = read_settings(
        {
            "port": "9000",
            "data": "/srv/remora",
            "keep": "2d",
            "max_size": "1GB",
            "insecure": "true",
            "public_url": None,
        }
    )
    assert settings.port == 9000
    assert settings.data == Path("/srv/remora")
    assert settings.keep_s == 2 * 86400
    assert settings.max_size_bytes == 10**9
    assert settings.insecure


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"port": "web"}, "port = 'web'"),
        ({"port": 70000}, "port = 70000"),
        ({"keep": "7"}, "keep = '7'"),
        ({"max_size": "big"}, "max_size = 'big'"),
        ({"insecure": "perhaps"}, "insecure = 'perhaps'"),
        ({"public_url": "remora.internal"}, "public_url = 'remora.internal'"),
        ({"public_url": "https://remora.internal/a"}, "with no path"),
        ({"hots": "x"}, "'hots' is no setting"),
    ],
)
def test_wrong_value_is_named(given, named):
    with pytest.raises(ConfigError) as caught:
        read_settings(given)
    assert named in str(caught.value)


def test_data_directory_follows_xdg(monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere")
    assert default_data_directory() == Path("/somewhere/remora")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/home/ann")
    assert default_data_directory() == Path("/home/ann/.local/share/remora")


def test_public_address_over_https_makes_cookies_secure():
    assert ServerSettings(public_url="https://remora.internal").seen_over_tls
    assert not ServerSettings().seen_over_tls
