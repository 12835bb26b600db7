"""What is kept on the disk: written whole or not at all, read without believing it.

files.py       whole files or none                     checkpoint.py   one file that is right or refused
npz.py         arrays of a file that anybody has made  lock.py         one run to a folder
download.py    a file from the web
"""
