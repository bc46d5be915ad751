"""Tasks for Celery, with a folder as the broker."""

import os

from celery import Celery

folder = os.environ["JOBS"]
app = Celery("jobs", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": folder,
    "data_folder_out": folder,
    "control_folder": folder,
}


def double(number):
    return number * 2


@app.task
def work(number):
    return double(number)
