"""What we are measured against, each run as its makers run it: `alpha = peer(bgr)`. One small file each."""
