"""What sources, backgrounds and sinks have in common where they read or write files. Knows nothing about painting.

ffmpeg.py     PyAV, loaded the one way that leaves OpenCV's windows working
naming.py     what is a URL, and what a file of this machine
tracks.py     which tracks of a container can be used
decoding.py   packets to frames, each a whole picture
pictures.py   frames to BGR, and BGR to frames
bad_file.py   what is wrong with a file that cannot be opened
"""
