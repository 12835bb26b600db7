"""The one error of weights that cannot be used."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ..data.errors import shown

LONGEST = 200  # characters of a reason, which may quote from the file


class WeightsError(ValueError):
    """Weights that cannot be found, fetched, read or fitted in; the message names the file and says what to do.

    It is one line, whatever stands in the file that it quotes.
    """

    def __str__(self):
        return shown(super().__str__())


@contextlib.contextmanager
def reading(path: Path | str, kind: str) -> Iterator[None]:
    """What fails inside the block, while the file at `path` is read as `kind`, becomes a WeightsError."""
    try:
        yield
    except WeightsError:
        raise
    except OSError as error:
        raise WeightsError(f"cannot read weights {path}: {error.strerror or error}; check the path") from error
    except MemoryError as error:
        raise WeightsError(f"{path} does not fit into memory: {error or 'there is none left'}") from error
    except Exception as error:  # of a damaged file: BadZipFile, IndexError, struct.error, OverflowError ...
        reason = str(error)[:LONGEST] or type(error).__name__
        raise WeightsError(f"{path} is damaged or not {kind}: {reason}; fetch or copy it again") from error
