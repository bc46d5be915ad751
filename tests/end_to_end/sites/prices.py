"""What the shopfronts sell; they import it by name, long before there is a probe."""


def price(number):
    return number * 2


def discount(amount, rate):
    return amount * rate
