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


GUARD = """
[[probe]]
id = "guard"
target = "__main__:enabled"
scope = { app = "shop" }
protect = { detector = "sql", argument = "name", mode = "block" }
"""


def test_signed_protection_outlives_its_server_and_goes_with_the_key(
    server, operator, start_child, remora_command, tmp_path, until
):
    key, file = str(tmp_path / "signing.pem"), tmp_path / "guard.toml"
    file.write_text(GUARD)
    made = remora_command("key", "new", "--out", key)
    child = start_child(
        server.options("shop"), SOURCE, REMORA_PUBLIC_KEY=made.stdout.strip()
    )
    operator.connected("shop")
    options = {"REMORA_TOKEN_FILE": str(server.token_file("operator"))}

    def command(*words):
        done = remora_command(*words, "--server", server.url, **options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def installed():
        return child.ask(
            "{p['probe']: p['reason'] for p in "
            "__import__('remora').status()['probes']}.get('guard')"
        )

    signed = tmp_path / "signed.toml"
    signed.write_text(remora_command("probe", "sign", str(file), "--key", key).stdout)
    command("probe", "add", "--file", str(signed), "--wait")
    assert installed() == "installed at 1 place"

    # to weaken it and to take it out is in the power of the server, and is not obeyed
    probe = operator.ask("GET", "/api/v1/probes/guard")["probe"]
    weaker = probe | {"protect": probe["protect"] | {"mode": "watch"}}
    del weaker["signature"]
    operator.ask("PUT", "/api/v1/probes/guard", json={"probe": weaker})
    (status,) = operator.reached("guard", "installed").values()
    assert status["reason"].endswith("; kept: the push that replaces it is not signed")
    operator.remove("guard")
    until(lambda: "the push that removes it" in installed(), "the push to be refused")
    messages = [record["message"] for record in operator.arrived("guard", 2)]
    assert "kept: the push that removes it is not signed" in messages

    # the server knows nothing of it any more; its id and the key are enough
    assert command("probe", "remove", "guard", "--key", key) == "removed guard\n"
    until(lambda: installed() is None, "the signed removal")

    # and what was signed before does not come back
    again = remora_command(
        *("probe", "add", "--file", str(signed), "--wait", "--server", server.url),
        **options,
    )
    assert again.returncode == 1
    assert "an earlier version" in again.stdout


def test_a_block_list_waits_for_a_policy_and_the_list_of_instances_says_so(
    server, operator, start_child, remora_command, tmp_path, until
):
    key, policy = str(tmp_path / "signing.pem"), tmp_path / "policy.toml"
    policy.write_text('unsigned = ["refuse"]\n')
    made = remora_command("key", "new", "--out", key)
    child = start_child(
        server.options("shop"), SOURCE, REMORA_PUBLIC_KEY=made.stdout.strip()
    )
    operator.connected("shop")
    where = ("--server", server.url)
    options = {"REMORA_TOKEN_FILE": str(server.token_file("operator"))}
    blocked = remora_command("users", "block", "user:mallory", *where, **options)
    assert blocked.returncode == 0, blocked.stdout + blocked.stderr

    def is_refused():
        # a module that another thread imports may not have its names yet
        return child.ask(
            "getattr(__import__('sys').modules.get('remora.agent.request.refused'),"
            " 'refused_actors', None) is not None and __import__('sys').modules"
            "['remora.agent.request.refused'].refused_actors.hold('user:mallory')"
        )

    def note():
        (instance,) = operator.instances(app="shop")
        return instance["note"]

    until(lambda: "block list is ignored" in note(), "the note of the instance")
    shown = remora_command("ps", *where, **options).stdout
    assert "it has a REMORA_PUBLIC_KEY and no policy" in shown
    assert not is_refused()

    sent = remora_command(
        "key", "policy", str(policy), "--key", key, "--send", *where, **options
    )
    assert sent.returncode == 0, sent.stdout + sent.stderr
    until(is_refused, "the list to be obeyed")
    until(lambda: not note(), "the note to go")


def test_signed_protection_is_there_at_a_start_without_the_server(
    server, operator, start_child, remora_command, tmp_path, until
):
    key, file = str(tmp_path / "signing.pem"), tmp_path / "guard.toml"
    state = tmp_path / "remora.state"
    file.write_text(GUARD)
    made = remora_command("key", "new", "--out", key)
    variables = {"REMORA_PUBLIC_KEY": made.stdout.strip(), "REMORA_STATE": str(state)}
    child = start_child(server.options("shop"), SOURCE, **variables)
    operator.connected("shop")
    options = {"REMORA_TOKEN_FILE": str(server.token_file("operator"))}

    def command(*words):
        done = remora_command(*words, "--server", server.url, **options)
        assert done.returncode == 0, done.stdout + done.stderr

    def reason():
        return child.ask(
            "{p['probe']: p['reason'] for p in "
            "__import__('remora').status()['probes']}.get('guard', '')"
        )

    signed = tmp_path / "signed.toml"
    signed.write_text(remora_command("probe", "sign", str(file), "--key", key).stdout)
    command("probe", "add", "--file", str(signed), "--wait")
    assert state.stat().st_mode & 0o777 == 0o600
    operator.remove("guard")
    until(lambda: "the push that removes it" in reason(), "the push to be refused")
    child.finish()
    server.stop()

    child = start_child(server.options("shop"), SOURCE, **variables)
    assert "REMORA_STATE has it, and no server has answered so far" in reason()
    server.start()
    until(lambda: "the push that removes it" in reason(), "the server's first push")
    command("probe", "remove", "guard", "--key", key)
    until(lambda: not reason(), "the signed removal")
    child.finish()

    child = start_child(server.options("shop"), SOURCE, **variables)
    assert not reason()
