"""A teacher on another machine: the protocol (Open Inference v2), its client, and in server/ jm-teacher."""
