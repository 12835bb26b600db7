"""The errors of programs that train: what they are given cannot be used, or what they end with cannot be written."""


class SettingError(ValueError):
    """An argument, or a folder it names, cannot be used; the message says why and what to do."""


class OutputError(RuntimeError):
    """The run is over, and not all of what it ends with could be written."""
