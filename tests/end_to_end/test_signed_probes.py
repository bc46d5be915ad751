"""Probes that change the run, signed, from a key to an app that trusts it alone."""

SOURCE = """
def enabled(name):
    return name

def failure(function, name):
    try:
        function(name)
    except Exception as error:
        return error
"""


def test_an_app_with_a_public_key_obeys_its_owner_and_not_its_server(
    server, operator, start_child, remora_command, tmp_path
):
    key = str(tmp_path / "signing.pem")
    made = remora_command("key", "new", "--out", key)
    child = start_child(
        server.options("shop", allow="act"),
        SOURCE,
        REMORA_PUBLIC_KEY=made.stdout.strip(),
    )
    operator.connected("shop")
    operator.add(id="forged", target="__main__:enabled", override={"return": "0"})
    (status,) = operator.reached("forged", "failed").values()
    assert "is not signed" in status["reason"]
    assert operator.arrived("forged")[0]["kind"] == "refusal"
    assert child.ask("enabled(1)") == 1

    added = remora_command(
        *("probe", "add", "__main__:enabled", "--server", server.url, "--id", "fix"),
        *("--return", "'fixed'", "--app", "shop", "--key", key, "--wait"),
        REMORA_TOKEN_FILE=str(server.token_file("operator")),
    )
    assert added.returncode == 0, added.stdout + added.stderr
    assert child.ask("enabled(1)") == "fixed"

    probe = operator.ask("GET", "/api/v1/probes/fix")["probe"]
    probe["override"] = {"return": "'worse'"}
    operator.ask("PUT", "/api/v1/probes/fix", json={"probe": probe})
    (status,) = operator.reached("fix", "failed").values()
    assert "was altered" in status["reason"]
    assert child.ask("enabled(1)") == 1

    policy = tmp_path / "policy.toml"
    policy.write_text('unsigned = ["raise"]\ntarget = ["__main__:*"]\n')
    sent = remora_command(
        *("key", "policy", str(policy), "--key", key, "--send"),
        *("--server", server.url),
        REMORA_TOKEN_FILE=str(server.token_file("operator")),
    )
    assert sent.returncode == 0, sent.stdout + sent.stderr
    refuse = {"raise": "PermissionError: not {name}"}
    operator.add(id="refused", target="__main__:enabled", override=refuse)
    operator.reached("refused", "installed")
    assert "PermissionError" in child.ask("repr(failure(enabled, 1))")
