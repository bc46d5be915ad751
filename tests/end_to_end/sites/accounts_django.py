"""Accounts of Django, in a database and its sessions, by WSGI and by ASGI."""

import os

import django
from django.conf import settings

settings.configure(
    DEBUG=False,
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="a test",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": f"{os.environ['DOORS']}/accounts.sqlite",
        }
    },
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "django.contrib.sessions",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
)
django.setup()

from django.contrib.auth import authenticate, get_user_model, login  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

from vault import rows  # noqa: E402

call_command("migrate", verbosity=0)
for number in range(3):
    get_user_model().objects.create_user(f"user{number}", password="a password")


def log_in(request, name):
    login(request, authenticate(request, username=name, password="a password"))
    return HttpResponse("")


def attack(request):
    name = request.GET["name"]
    assert request.user is not None
    str(request.user.is_authenticated)
    return JsonResponse(
        rows(f"SELECT name FROM users WHERE name = '{name}'"), safe=False
    )


async def attack_in_a_task(request):
    await request.auser()
    name = request.GET["name"]
    return JsonResponse(
        rows(f"SELECT name FROM users WHERE name = '{name}'"), safe=False
    )


def attack_before_anybody_asks_for_the_account(request):
    request.session.get("basket")
    name = request.GET["name"]
    return JsonResponse(
        rows(f"SELECT name FROM users WHERE name = '{name}'"), safe=False
    )


urlpatterns = [
    path("", lambda request: HttpResponse("hello")),
    path("login/<name>", log_in),
    path("sql", attack),
    path("task", attack_in_a_task),
    path("unasked", attack_before_anybody_asks_for_the_account),
]
application = get_wsgi_application()
asgi_application = get_asgi_application()
