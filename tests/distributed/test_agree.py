"""What all ranks must have in common: where they differ, each has the same message, which says who and in what."""

import mpi

PROGRAM = """
from minicnn.distributed import RanksDiffer, world
from minicnn.distributed.agree import agree
rank = world().rank
nan = float("nan")
for values in (
    {"lr": 0.01, "b": 8, "net": None, "x": nan},
    {"lr": 0.1 if rank > 1 else 0.01, "b": 8, "x": nan},
    {"lr": [0.01, 0.1, 0.2, 0.1][rank], "b": rank},
    {"k": rank},
    {"k": rank, "net": "big"} if rank == 2 else {"net": "big"},
    {"net": "1" if rank else 1},
    {"x": 1.0 if rank == 3 else nan},
    {"a": 1, "b": 2} if rank else {"b": 2, "a": 1},
):
    try:
        agree("the run", values, world(), "be alike")
        print("alike")
    except RanksDiffer as error:
        assert error.on_all_ranks
        print(str(error).removeprefix("the run is not the same on all ranks: "))
"""


@mpi.skip_without_mpi
def test_who_has_what():
    out = mpi.succeed(4, PROGRAM)
    assert out[0].splitlines() == [
        "alike",
        "lr is 0.1 on ranks 2 and 3, 0.01 on rank 0; be alike",
        "lr is 0.1 on ranks 1 and 3, 0.2 on rank 2, 0.01 on rank 0; be alike",
        "k is 1 on rank 1, 2 on rank 2, 3 on rank 3, 0 on rank 0; be alike",
        "k is 2 on rank 2, nothing on rank 0; be alike",
        "net is '1' on ranks 1, 2 and 3, 1 on rank 0; be alike",
        "x is 1.0 on rank 3, nan on rank 0; be alike",
        "alike",
    ]
    assert out == [out[0]] * 4
