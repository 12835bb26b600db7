"""The profiler (``kernels/profile.py``): from what the emulator counts to what a GPU would suffer, line by line.

cases.py         what each op's kernels are launched with; arguments.py: what a kernel of one's own is
places.py        from addresses of code to lines
machine_code.py  arithmetic, block by block
profiles.py      a kernel's profile: the sums for each line
listing.py       the listing and the summary
peaks.py         GPUs, and what bounds a kernel on them; roofline.py: the picture
sass.py          what NVIDIA's compilers say
gate.py          the table that shipped kernels are held to
"""
