"""What a running engine can be told, by whom, and how. `engine.control.client` loads neither NumPy nor OpenCV.

commands.py   the table: every command, what it does to a Session
arguments.py  how the arguments of each are read
server.py     a local socket that takes them, for this user alone
client.py     who calls it: jm-engine ctl, the panel, other programs
command.py    jm-engine ctl
keys.py       the same commands on the keys of a window
gallery.py    a folder of backgrounds
remembered.py the last choice, kept for the next run
place.py      where the sockets lie, who may use them
"""
