"""The error of a setting that a run cannot work with."""

import contextlib


class SettingError(ValueError):
    """An argument, or a folder it names, cannot be used; the message says why and what to do."""


@contextlib.contextmanager
def as_setting_error():
    """A ValueError of what is built inside the block, from the arguments, becomes a SettingError."""
    try:
        yield
    except ValueError as error:
        raise SettingError(str(error)) from error
