"""How fast something goes, and how long it will still take."""

import time


class Clock:
    """Speed since it was made, and the time that is left."""

    def __init__(self) -> None:
        self.start, self.images, self.batches = time.perf_counter(), 0, 0
        self._first = self.start, 0  # when the first batch was through, and its images

    def update(self, images: int) -> None:
        """A batch of so many images is through."""
        self.images += images
        self.batches += 1
        if self.batches == 1:
            self._first = time.perf_counter(), images

    @property
    def seconds(self) -> float:
        """Since the clock was made."""
        return time.perf_counter() - self.start

    @property
    def images_per_second(self) -> float:
        """Over all of that time."""
        return self.images / self.seconds

    def left(self, batches: int) -> float:
        """Seconds that `batches` more will take, at the speed so far."""
        seconds, _, done = self._warm()
        return batches * seconds / done

    def texts(self, batches: int) -> tuple[str, str]:
        """("1:03 left", "52 images/s"): how long `batches` more will take, and the speed so far."""
        seconds, images, _ = self._warm()
        speed = images / seconds
        return f"{duration(self.left(batches))} left", f"{speed:.{0 if speed >= 10 else 1}f} images/s"

    def _warm(self):
        """(seconds, images, batches) of all but the first, in which kernels are compiled, as soon as there are two."""
        if self.batches < 2:
            return self.seconds, self.images, max(1, self.batches)
        time_of_first, images_of_first = self._first
        return time.perf_counter() - time_of_first, self.images - images_of_first, self.batches - 1


def duration(seconds: float) -> str:
    """63.2 -> "1:03", 3723 -> "1:02:03", 360000 -> "100 h"."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 100:
        return f"{hours} h"
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
