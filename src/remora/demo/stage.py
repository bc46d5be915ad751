"""The stage: starts server, shop and customers, and plays the steps one by one."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from remora.demo import steps
from remora.demo.operator import Operator, StepError
from remora.demo.processes import Child, ProcessGroup, free_port
from remora.demo.steps import Scene
from remora.demo.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable

    from remora.demo.narration import Narration

SITE = Path(__file__).parent / "site"

CHECK_S = 80.0
"""Seconds for everything with `check`: ten below what is promised, for the ending."""

WATCH_S = 4.0
"""Seconds that a person watches the records of a step: a screenful."""

START_S = 30.0
"""Seconds for the server, and for the shop, to answer: imports on a busy machine."""

_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the running parts are."""

    server: str
    shop: str
    operator_token: Path
    agent_token: Path


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that the demo does, and the words that introduce it."""

    title: str
    words: str
    act: Callable[[Scene], str]


STEPS = (
    Step(
        "The shop's workers are connected",
        "The shop is a Flask app under gunicorn, started as ever, only behind "
        "'remora run'. Each worker reports to the server by itself.",
        steps.wait_for_workers,
    ),
    Step(
        "A probe on a function that others imported long ago",
        "shop/checkout.py says 'from shop.billing import charge', and did so when the "
        "worker started. A probe on shop.billing:charge catches its calls too.",
        steps.probe_held_reference,
    ),
    Step(
        "A probe with a condition",
        "Only charges above 100.00 of accounts on the free plan, with three values of "
        "each. The condition is evaluated inside the workers.",
        steps.probe_with_condition,
    ),
    Step(
        "A probe that counts",
        "How many charges, how much in all, and how long they took, by plan. The table "
        "is made in the workers, and only the table is sent, once a second.",
        steps.count_by_plan,
    ),
    Step(
        "A probe on a module that does not exist yet",
        "The probe says that it waits. Then the file is written, the shop imports it "
        "when a customer asks for it, and the first call is seen.",
        steps.probe_future_module,
    ),
    Step(
        "All probes are removed",
        "The shop itself is asked, in each worker, whether its functions run the code "
        "objects that they had at the start: not equal ones, the same ones.",
        steps.remove_all,
    ),
    Step(
        "Calls are as they were before",
        "Customers go on buying. Nothing is reported, and none of them ever met an "
        "error.",
        steps.check_silence,
    ),
)


def play(
    narration: Narration, processes: ProcessGroup, folder: Path, port: int | None
) -> bool:
    """Play all steps and say whether each came out well; stays up for a person."""
    deadline = time.monotonic() + CHECK_S if narration.brief else float("inf")
    try:
        addresses = _start(narration, processes, folder, port)
    except StepError as error:
        narration.outcome(good=False, sentence=str(error))
        return False
    with ExitStack() as stack:
        token = addresses.operator_token.read_text(encoding="ascii").strip()
        scene = Scene(
            operator=stack.enter_context(Operator(addresses.server, token)),
            shop=stack.enter_context(
                httpx.Client(base_url=addresses.shop, timeout=10, trust_env=False)
            ),
            plugins=folder / "shop" / "plugins",
            traffic=stack.enter_context(Traffic(addresses.shop)),
            narration=narration,
            watch_s=0.0 if narration.brief else WATCH_S,
            deadline=deadline,
        )
        good = _play_steps(scene)
        if not good:
            for child in processes.children:
                print(_log_of(child))
        if not narration.brief:
            _invite(narration, addresses)
            threading.Event().wait()
    return good


def _play_steps(scene: Scene) -> bool:
    """Play on after a failure, as the later steps may say more about it.

    Only where no worker has connected there is nothing to play with.
    """
    good = True
    for number, step in enumerate(STEPS, 1):
        scene.narration.heading(number, step.title, step.words)
        try:
            scene.narration.outcome(good=True, sentence=step.act(scene))
        except (StepError, httpx.HTTPError) as error:
            good = False
            scene.narration.outcome(good=False, sentence=f"{step.title}: {error}")
            if number == 1:
                break
    return good


def _start(
    narration: Narration, processes: ProcessGroup, folder: Path, port: int | None
) -> Addresses:
    """Start the server and the shop and wait until both answer. Raises StepError."""
    server_port, shop_port = port or free_port(), free_port()
    addresses = Addresses(
        server=f"http://127.0.0.1:{server_port}",
        shop=f"http://127.0.0.1:{shop_port}",
        operator_token=folder / "operator.token",
        agent_token=folder / "agent.token",
    )
    narration.say(
        "This is a real server, a real shop with two worker processes, and customers\n"
        "who buy things. Probes go into the shop's workers while they serve."
    )
    server = processes.start(
        "server",
        _remora("serve", "--port", str(server_port), "--data", str(folder)),
    )
    _await(server, f"{addresses.server}/readyz")
    shop = processes.start("shop", _shop_command(addresses, folder, shop_port))
    _await(shop, f"{addresses.shop}/")
    _greet(narration, addresses)
    return addresses


def _remora(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "remora", *arguments]


def _shop_command(addresses: Addresses, folder: Path, port: int) -> list[str]:
    run = _remora("run", "--app", "shop", "--env", "demo", "--version", "4.2")
    to_server = ["--server", addresses.server]
    token = ["--token-file", str(addresses.agent_token)]
    gunicorn = [sys.executable, "-m", "gunicorn", "--chdir", str(SITE)]
    settings = ["--config", str(SITE / "gunicorn.conf.py")]
    bind = [
        "--bind",
        f"127.0.0.1:{port}",
        f"shop.app:create_app({str(folder / 'shop')!r})",
    ]
    return [*run, *to_server, *token, "--", *gunicorn, *settings, *bind]


def _await(child: Child, url: str) -> None:
    """Wait until `child` answers at `url`. Raises StepError with its last words."""
    end = time.monotonic() + START_S
    while not _answers(url):
        if child.has_ended():
            raise StepError(f"the {child.name} ended at its start\n{_log_of(child)}")
        if time.monotonic() > end:
            raise StepError(
                f"the {child.name} did not answer at {url} within {START_S:g} s\n"
                + _log_of(child)
            )
        time.sleep(_POLL_S)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _log_of(child: Child) -> str:
    lines = "\n".join(f"  {line}" for line in child.last_lines())
    return f"last lines of the {child.name} ({child.log}):\n{lines or '  (none)'}"


def _greet(narration: Narration, addresses: Addresses) -> None:
    token = addresses.operator_token.read_text(encoding="ascii").strip()
    narration.say(
        f"\n  pages   {addresses.server}\n"
        f"  log in  {token}\n"
        f"          (the operator token; it is in {addresses.operator_token})\n"
        f"  shop    {addresses.shop}"
    )


def _invite(narration: Narration, addresses: Addresses) -> None:
    remora = Path(sys.executable).with_name("remora")
    narration.say(
        "\nThe shop stays open. Look into it yourself, on the pages or from another\n"
        "terminal:\n\n"
        f"  export REMORA_SERVER={addresses.server}\n"
        f"  export REMORA_TOKEN_FILE={addresses.operator_token}\n"
        f"  {remora} ps\n"
        f"  {remora} probe add shop.cart:Cart.add --app shop \\\n"
        "    --log '{self.account.name} takes {quantity} of {product_id}' --tail\n"
        "\nCtrl-C ends everything that was started here."
    )
