"""Places that the student was taught in, remembered on disk: what it learnt there is right from the first frame of the
next visit.

    signature.py   what a place looks like, whoever sits in it
    room.py        one place as values and as bytes
    store.py       the folder they lie in
    listing.py     what is remembered, for people
    memory.py      which place is this? its student, if that holds

No picture is stored. What is, and what can be read out of it: docs/rooms.md.
"""
