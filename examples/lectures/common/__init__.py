"""What the programs of the series share: the frame, the data, the training loop, means and spreads, colours.

experiment.py   a program: its options, its results, its figure, its line of JSON
page.py         the docstring of a program, in parts
programs.py     the programs, by number
source.py       the source that results depend on
index.py        docs/lectures.md, made from docstrings and results
classes.py      pictures of some classes: drawn textures, or a folder of the user's
scenes.py       drawn scenes with boxes around their objects
voc.py          photographs with boxes, in the layout of PASCAL VOC
voc_names.py    which pictures belong to a split of such a folder
detecting.py    a detector's training, its mAP, what it finds in some pictures
digits.py       handwritten digits, from a package that has them
idx.py          MNIST, from its own four files
tasks.py        five classes to transfer to: training, validation and test pictures
pretraining.py  a network that has learnt five classes, as a beginning for others
line.py         the weights between those of two networks, and the barrier there
mosaics.py      mosaics of textures, with the class of each pixel: pictures to segment
segmenting.py   a classifier of textures, and networks made of it that segment mosaics
label_maps.py   a class for each pixel, drawn
voc_masks.py    photographs with the class of each pixel, in the same layout, and what trains on them
training.py     a training loop on arrays, and the error it leaves
landscape.py    the loss of a linear classifier around its weights
growing.py      deep nets that compute what a shallow one does
ingredients.py  a small net with or without what made deep nets work
halves.py       AlexNet in two halves, each in a process of its own
tower.py        equal layers upon each other, and what passes through each: signals, gradients
tanh.py         tanh, and the two formulas for it that are another function
dead_units.py   the share of ReLUs that training has killed
race.py         how many epochs a net needs until its error has fallen to some value
subject.py      nets to look into: one that has learnt textures, and AlexNet
receptive_field.py   what a unit can see, computed and measured
strongest.py    the pictures, and the places in them, that excite a channel most
views.py        the ten crops of a picture at some scales, and what their mean decides
grad_cam.py     where in a picture a net sees what speaks for a class
pictures.py     grids of pictures, as text in a file of results
max_norm.py     fully connected layers whose weights stay small
statistics.py   the mean over seeds, and its spread
style.py        colours and lines that survive grey, and axes
"""
