"""The same as a Django project, with an account in its session; WSGI and ASGI."""

import json

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.signals import got_request_exception
from django.core.wsgi import get_wsgi_application
from django.dispatch import receiver
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.utils.deprecation import MiddlewareMixin

from edges import STREAMS, block, inputs_of, swallow
from remora.agent.request import actor_of, current_request

settings.configure(
    DEBUG=False,
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="a test",
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
    AUTHENTICATION_BACKENDS=["edges_django.Accounts"],
    MIDDLEWARE=[
        "edges_django.Answers",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
)


class Answers(MiddlewareMixin):
    """A middleware of the app that sees what its views answer."""

    seen = {"failures": 0, "answers": []}

    def process_response(self, request, response):
        self.seen["answers"].append(response.status_code)
        return response


@receiver(got_request_exception)
def note_failure(**_):
    Answers.seen["failures"] += 1


class Account:
    def __init__(self, number):
        self.id = number


class Accounts:
    def get_user(self, number):
        return Account(number)


def attack(request):
    block()


def caught(request):
    swallow()
    return HttpResponse("secret")


def stream(request, what):
    return StreamingHttpResponse(STREAMS[what]())


def read(request):
    request.POST.get("n")
    return HttpResponse(json.dumps(inputs_of("x' OR 1")))


def login(request, number):
    request.session["_auth_user_id"] = number
    request.session["_auth_user_backend"] = "edges_django.Accounts"
    return HttpResponse()


def who(request, name):
    request.user.id
    said = [actor_of(current_request()), inputs_of(name), current_request().route]
    return HttpResponse(json.dumps(said))


urlpatterns = [
    path("", lambda request: HttpResponse("hello")),
    path("attack", attack),
    path("caught", caught),
    path("read", read),
    path("answers", lambda request: JsonResponse(Answers.seen)),
    path("login/<number>", login),
    path("who/<name>", who),
    path("<what>", stream),
]
application = get_wsgi_application()
asgi_application = get_asgi_application()
