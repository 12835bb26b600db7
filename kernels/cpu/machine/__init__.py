"""What every kernel of this tier needs of the computer: threads, memory, layouts of arrays, compiling.

unit.py      which unit of the processor multiplies
threads.py   an op's work on a few Python threads; the compiled code and BLAS let go of the interpreter's lock
awake.py     no core falls asleep between two ops, for what it does then is keeper.py; how many there are, cores.py
memory.py    arrays out of blocks that are used again, so that a training step asks for no fresh memory
blas.py      BLAS on one thread, for the time of a call
layout.py    channels-last and flat views of arrays
jit.py       how functions are compiled
bfloat16.py  loops that are right for bfloat16 arrays as well
"""
