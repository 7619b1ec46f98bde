"""A page in the browser that shows a running engine and commands it. A process of its own: it paints nothing.

command.py     jm-engine panel: listen, print the address, serve
access.py      who may ask: token, Host, Origin; and the headers of every answer
app.py         the paths
running.py     the running engine, through its control socket
additions.py   files that are dropped onto the page, on their way into the gallery
thumbnails.py  what a background looks like, small
page/          HTML, CSS, JavaScript; nothing of it is built or fetched from elsewhere
"""
