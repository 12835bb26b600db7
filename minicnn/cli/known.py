"""A run knows its pictures: it goes on with them, and is tested on those that it was not trained on."""

import os
import platform
from argparse import Namespace
from pathlib import Path

from ..console import tell
from ..data import DataError, ImageFolder, only_classes
from ..data.errors import shown
from ..data.folder import split_folders
from ..data.record import changed_sides, changes, is_flat, not_trained_on, record, trained_on
from ..data.subset import PictureSet
from ..distributed import world
from ..distributed.ending import listed, on_all_ranks
from ..storage.checkpoint import CheckpointError, State
from .pictures import Source, chosen_pictures


def known_pictures(args: Namespace, source: Source, state: State | None) -> tuple[PictureSet, PictureSet, State]:
    """(training pictures, validation pictures, their record) of what source(args) opens.

    state: of the checkpoint given to --resume, if there is one: its run goes on with the pictures that it had.
    Of several ranks, rank 0 alone looks into the folders, and tells the others what is there.
    Raises DataError, also if the others do not find it, and, as ``check_pictures`` does, CheckpointError.
    """
    train, val, now = world().on_rank_0(_known_pictures, args, source, state)
    check_seen_by_all(train, val)
    return train, val, now


def _known_pictures(args, source, state):
    train, val = chosen_pictures(args, source, state)
    now = record(train, val)
    if state:
        check_pictures(args, state, now, train, val)
    return train, val, now


def check_pictures(args: Namespace, state: State, now: State, train: PictureSet, val: PictureSet) -> None:
    """Hold the pictures, whose record is `now`, against those of the checkpoint given to --resume.

    Raises CheckpointError if they are others, unless --other-pictures says that they may be; and always, if a picture
    that was validated on would be trained on, or the other way round.
    """
    then = state["pictures"]
    if not then:
        tell(f"note: {args.resume} does not know its pictures, so whether these are the same was not checked")
    elif count := changed_sides(then, now):
        what = f"{count} of its pictures went from validation to training, or back"
        raise CheckpointError(f"{args.resume}: {what}, and its figures would mean nothing any more; put them back")
    elif changed := changes(then, now, train, val):
        if not args.other_pictures:
            advice = "give it back its own, or --other-pictures to go on with these"
            raise CheckpointError(f"{args.resume} is of other pictures: {changed}; {advice}")
        if state["position"]["batch"]:
            advice = "only one from the end of an epoch, such as checkpoint_best.npz, goes on with --other-pictures"
            raise CheckpointError(f"{args.resume} lies within an epoch of other pictures: {changed}; {advice}")
        tell(f"going on with other pictures: {changed}")


def open_test_pictures(args: Namespace, state: State, source: Source) -> PictureSet:
    """The pictures to test a checkpoint on, whose state this is, of its classes: DIR/val alone if there is one, or what
    training validates on. Of a flat DIR, those that the run has validated on, if they are as they were. Rank 0 looks.
    """
    pictures = world().on_rank_0(_open_test_pictures, args, state, source)
    check_seen_by_all(pictures)
    return pictures


def _open_test_pictures(args, state, source):
    if named_val := val_folder(args):
        folder = ImageFolder(named_val, None if args.classes else state["classes"])
        return only_classes(folder, args.classes) if args.classes else folder
    train, val = chosen_pictures(args, source, state)
    if not is_flat(train, val):
        return val
    if not state["pictures"]:
        note = "unless the folder is as it was, it is tested on what it was trained on"
        tell(f"note: the checkpoint does not know its pictures; {note}")
        return val
    before, unseen = len(state["pictures"]["val"]["names"]), not_trained_on(state["pictures"], train, val)
    if before and not len(unseen):
        what = f"and may hold what it was trained on; put the pictures to test on into {args.dir}/val/<class>/"
        raise DataError(f"{args.dir} holds none of the {before} pictures that the run was validated on, {what}")
    if len(unseen) < before:
        tell(f"note: {len(unseen)} of the {before} validation pictures are left as they were; these are tested on")
    return unseen


def check_unseen(args: Namespace, path: str, state: State, pictures: PictureSet) -> None:
    """CheckpointError if the run of the checkpoint at `path` was trained on some of these pictures of a flat DIR."""
    if args.dir and not val_folder(args) and (count := trained_on(state["pictures"], pictures)):
        what = f"{path} was trained on {count} of the {len(pictures)} pictures to test on"
        advice = "test the networks one by one, or on pictures in a folder val/"
        raise CheckpointError(f"{what}: another seed or --val-fraction has split the folder for it; {advice}")


def val_folder(args: Namespace) -> Path | None:
    """DIR/val, by any of its names; None if there is none."""
    return split_folders(args.dir)[1] if args.dir else None


def check_seen_by_all(*sets: PictureSet) -> None:
    """DataError, on every rank, if some do not find the files that rank 0 has found: the first of each set is looked
    for."""
    first = [pictures.samples[0][0] for pictures in sets if hasattr(pictures, "root") and len(pictures)]
    missing = next((path for path in first if not os.path.lexists(path)), None)
    found = world().gather_values((missing, platform.node()))
    blind = [rank for rank, (path, _) in enumerate(found) if path is not None]
    if blind and blind[0] > 0:  # where rank 0 does not find it either, it has gone since, or is a link to nowhere
        hosts = ", ".join(dict.fromkeys(found[rank][1] for rank in blind))
        what = f"{shown(found[blind[0]][0])}, which rank 0 sees on host {found[0][1]}, is not there for {listed(blind)}"
        advice = "put the pictures on a disk that all ranks share, and give their folder as a full path"
        raise on_all_ranks(DataError(f"{what} of {len(found)} (host {hosts}); {advice}"))


def say_notes(*sets: PictureSet) -> None:
    """What whoever uses these pictures should know of their folders, once."""
    for note in dict.fromkeys(note for pictures in sets for note in getattr(pictures, "notes", ())):
        tell(f"note: {note}")
